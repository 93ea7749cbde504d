package token

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// googleToken asks the metadata server for the default service account's token. The server speaks plain HTTP, and is as
// near as the hypervisor: no proxy may come between, and what answers has to say what it is.
func googleToken(ctx context.Context, o Options) (string, error) {
	host := o.Getenv("GCE_METADATA_HOST")
	if host == "" {
		host = googleHost
	}
	if strings.ContainsAny(host, "/@?#") {
		return "", errors.New("read GCE_METADATA_HOST: it is no host")
	}
	u := &url.URL{Scheme: "http", Host: host, Path: googlePath,
		RawQuery: url.Values{"audience": {o.Audience}, "format": {"full"}}.Encode()} // full: with the e-mail address
	if o.Transport == nil {
		direct := &http.Transport{DialContext: (&net.Dialer{}).DialContext}
		defer direct.CloseIdleConnections()
		o.Transport = direct
	}
	answer, header, err := o.get(ctx, u, http.Header{flavor: {"Google"}})
	if err != nil {
		return "", err
	}
	if header.Get(flavor) != "Google" {
		return "", errors.New("what answers at " + u.Host + " is no metadata server of Google's")
	}
	return string(answer), nil
}
