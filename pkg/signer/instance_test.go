package signer

import (
	"bytes"
	"slices"
	"testing"
)

func TestReadInstanceKnowsPublicLogs(t *testing.T) {
	w := newWorld(t)
	private := w.config(2)
	with := func(old, new string) []byte {
		if !bytes.Contains(private, []byte(old)) {
			t.Fatalf("config has no %q", old)
		}
		return bytes.Replace(private, []byte(old), []byte(new), 1)
	}
	for name, c := range map[string]struct {
		config []byte
		want   []string
	}{
		"private":             {private, nil},
		"public log":          {with(w.server.URL+"/rekor2", "https://log2025-1.rekor.sigstore.dev"), []string{"log2025-1.rekor.sigstore.dev"}},
		"staging":             {with(w.server.URL+"/rekor2", "https://rekor.sigstage.dev"), []string{"rekor.sigstage.dev"}},
		"in another spelling": {with(w.server.URL+"/rekor2", "https://Rekor.Sigstore.Dev.:443/"), []string{"Rekor.Sigstore.Dev.:443"}},
		"public authority":    {with(w.server.URL+"/fulcio", "https://fulcio.sigstore.dev"), []string{"fulcio.sigstore.dev"}},
		"a like name":         {with(w.server.URL+"/rekor2", "https://rekor.notsigstore.dev"), nil},
	} {
		got, err := ReadInstance(c.config, worldTime)
		if err != nil || !slices.Equal(got.PublicLogs, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, got.PublicLogs, err, c.want)
		}
	}
}

func TestReadInstanceNamesTheIssuer(t *testing.T) {
	w := newWorld(t)
	if got, err := ReadInstance(w.config(2), worldTime); err != nil || got.Issuer != "" {
		t.Errorf("without an issuer: %q, %v", got.Issuer, err)
	}
	issuer := []byte(`"oidcUrls":[{"url":"https://oauth.example/auth","majorApiVersion":1,"validFor":{"start":"2026-01-01T00:00:00Z"},"operator":"test"}],"caUrls"`)
	if got, err := ReadInstance(bytes.Replace(w.config(2), []byte(`"caUrls"`), issuer, 1), worldTime); err != nil || got.Issuer != "https://oauth.example/auth" {
		t.Errorf("with an issuer: %q, %v", got.Issuer, err)
	}
	_, err := ReadInstance([]byte("{"), worldTime)
	refused(t, err, "read signing config")
}
