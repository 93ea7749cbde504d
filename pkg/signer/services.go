package signer

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// services are the servers that make one bundle.
type services struct {
	authority  string         // Fulcio's base URL
	timestamps []string       // timestamp authorities' full URLs; may be empty with a Rekor v1 log
	logs       []root.Service // Rekor v1 or v2, one at least
}

// rekorV2 is the version of the log's API that issues no time of its own.
const rekorV2 = 2

// parseConfig reads a signing_config.json. What makes sigstore-go's accessors panic, and URLs that nothing should be
// sent to, are errors.
func parseConfig(data []byte) (*root.SigningConfig, error) {
	if len(data) > trust.MaxFile {
		return nil, fmt.Errorf("read signing config: %d bytes, at most %d are read", len(data), trust.MaxFile)
	}
	if len(data) == 0 {
		return nil, errors.New("read signing config: it is empty")
	}
	parsed, err := root.NewSigningConfigProtobuf(data)
	if err != nil {
		return nil, fmt.Errorf("read signing config: %w", err)
	}
	if parsed.GetRekorTlogConfig() == nil || (len(parsed.GetTsaUrls()) > 0 && parsed.GetTsaConfig() == nil) {
		return nil, errors.New("read signing config: it does not say how many of its logs or timestamp authorities to use")
	}
	config, err := root.NewSigningConfigFromProtobuf(parsed)
	if err != nil {
		return nil, fmt.Errorf("read signing config: %w", err)
	}
	for _, s := range config.FulcioCertificateAuthorityURLs() {
		if err := checkURL(s.URL, true); err != nil {
			return nil, fmt.Errorf("read signing config: certificate authority %w", err)
		}
	}
	for _, s := range append(config.RekorLogURLs(), config.TimestampAuthorityURLs()...) {
		if err := checkURL(s.URL, false); err != nil {
			return nil, fmt.Errorf("read signing config: server %w", err)
		}
	}
	return config, nil
}

// checkURL refuses what is not an HTTP URL, and plain HTTP to another machine where secret says that the server is sent
// the identity token. Logs and timestamp authorities get nothing secret, and their answers are signed.
func checkURL(s string, secret bool) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("%q has no valid URL", s)
	case u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return fmt.Errorf("%q is not an https URL", s)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("at %q: a URL with user, query or fragment is not used", u.Host)
	case secret && u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("%q would be sent the identity token in the clear: https is needed", s)
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// selectServices picks the servers to use at the time now. A signature without a log entry or without a trusted time
// would open nowhere, so a config that leads to one is an error.
func selectServices(config *root.SigningConfig, now time.Time) (services, error) {
	authority, err := root.SelectService(config.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, now)
	if err != nil {
		return services{}, fmt.Errorf("select a certificate authority from the signing config: %w", err)
	}
	s, err := selectWitnesses(config, now)
	if err != nil {
		return services{}, err
	}
	s.authority = authority.URL
	if s.logs[0].MajorAPIVersion == rekorV2 && len(s.timestamps) == 0 {
		return services{}, fmt.Errorf("the log %q vouches for no time, and the signing config has no timestamp authority", s.logs[0].URL)
	}
	return s, nil
}

// selectWitnesses picks the logs and the timestamp authorities to use at the time now: one log at least.
func selectWitnesses(config *root.SigningConfig, now time.Time) (services, error) {
	logs, err := root.SelectServices(config.RekorLogURLs(), config.RekorLogURLsConfig(), sign.RekorAPIVersions, now)
	if err != nil {
		return services{}, fmt.Errorf("select a transparency log from the signing config: %w", err)
	}
	s := services{logs: logs}
	if len(config.TimestampAuthorityURLs()) > 0 {
		stamps, err := root.SelectServices(config.TimestampAuthorityURLs(), config.TimestampAuthorityURLsConfig(), sign.TimestampAuthorityAPIVersions, now)
		if err != nil {
			return services{}, fmt.Errorf("select a timestamp authority from the signing config: %w", err)
		}
		for _, t := range stamps {
			s.timestamps = append(s.timestamps, t.URL)
		}
	}
	return s, nil
}
