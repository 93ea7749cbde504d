package signer

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// publicSigstore are the domains of the logs that anybody can read, for good: Sigstore's public instance and the one
// that it is tried out on.
var publicSigstore = []string{"sigstore.dev", "sigstage.dev"}

// Instance is what a signing config says of the Sigstore instance that it leads to.
type Instance struct {
	Issuer     string   // URL of the OIDC issuer where people log in; "" where the config names none
	PublicLogs []string // hosts of those logs in use that anybody can read; none for a private instance
	Servers    []string // URLs in use, in the order in which a signer asks: certificate authority, timestamp authorities, logs
}

// ReadInstance reads a signing_config.json, v0.2, for use at the time now. It errs as NewKeyless does.
//
// A log counts as public by its host, below sigstore.dev or sigstage.dev. Whoever runs another one knows who can read it.
func ReadInstance(config []byte, now time.Time) (Instance, error) {
	parsed, err := parseConfig(config)
	if err != nil {
		return Instance{}, err
	}
	servers, err := selectServices(parsed, now)
	if err != nil {
		return Instance{}, err
	}
	i := Instance{Servers: append([]string{servers.authority}, servers.timestamps...)}
	for _, l := range servers.logs {
		i.Servers = append(i.Servers, l.URL)
	}
	// A public certificate authority logs every certificate, name and all, whatever log the signature goes to.
	for _, server := range append([]root.Service{{URL: servers.authority}}, servers.logs...) {
		host, public, err := publicHost(server.URL)
		if err != nil {
			return Instance{}, err
		}
		if public {
			i.PublicLogs = append(i.PublicLogs, host)
		}
	}
	if len(parsed.OIDCProviderURLs()) > 0 {
		issuer, err := root.SelectService(parsed.OIDCProviderURLs(), []uint32{1}, now)
		if err != nil {
			return Instance{}, fmt.Errorf("select an OIDC issuer from the signing config: %w", err)
		}
		i.Issuer = issuer.URL
	}
	return i, nil
}

func publicHost(server string) (string, bool, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", false, fmt.Errorf("read signing config: server %q has no valid URL", server)
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	for _, domain := range publicSigstore {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return u.Host, true, nil
		}
	}
	return u.Host, false, nil
}
