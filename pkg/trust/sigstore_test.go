package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

const publicGood = "trust/public-good/trusted_root.json"

func TestLoadSigstoreReadsThePublicGoodRoot(t *testing.T) {
	s, err := LoadSigstore(vectors(t, publicGood))
	if err != nil {
		t.Fatal(err)
	}
	m := s.Material()
	if len(m.FulcioCertificateAuthorities()) == 0 || len(m.RekorLogs()) < 2 || len(m.CTLogs()) == 0 || len(m.TimestampingAuthorities()) == 0 {
		t.Errorf("%d authorities, %d logs, %d CT logs, %d timestamp authorities",
			len(m.FulcioCertificateAuthorities()), len(m.RekorLogs()), len(m.CTLogs()), len(m.TimestampingAuthorities()))
	}
}

// altered is the public-good root with one change.
func altered(t *testing.T, change func(root map[string]any)) []byte {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(vectors(t, publicGood), &root); err != nil {
		t.Fatal(err)
	}
	change(root)
	data, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestLoadSigstoreRefuses(t *testing.T) {
	if _, err := LoadSigstore(altered(t, func(map[string]any) {})); err != nil {
		t.Fatalf("root without a fault: %v", err)
	}
	first := func(root map[string]any, list string) map[string]any {
		return root[list].([]any)[0].(map[string]any)
	}
	for name, test := range map[string]struct {
		says string
		data []byte
	}{
		"empty":         {"read trusted root", nil},
		"no JSON":       {"read trusted root", []byte("trust me")},
		"cut":           {"read trusted root", vectors(t, publicGood)[:2000]},
		"trailing data": {"read trusted root", append(vectors(t, publicGood), "{}"...)},
		"empty object":  {"read trusted root", []byte("{}")},
		"media type only": {"nobody to trust",
			[]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)},
		"too long":        {"at most", bytes.Repeat([]byte(" "), MaxFile+1)},
		"other type":      {"read trusted root", altered(t, func(r map[string]any) { r["mediaType"] = "application/json" })},
		"unknown field":   {"read trusted root", altered(t, func(r map[string]any) { r["trustEverything"] = true })},
		"no authority":    {"nobody to trust", altered(t, func(r map[string]any) { delete(r, "certificateAuthorities") })},
		"no log":          {"nobody to trust", altered(t, func(r map[string]any) { delete(r, "tlogs") })},
		"empty log list":  {"nobody to trust", altered(t, func(r map[string]any) { r["tlogs"] = []any{} })},
		"hollow log":      {"read trusted root", altered(t, func(r map[string]any) { r["tlogs"] = []any{map[string]any{}} })},
		"hollow CA":       {"read trusted root", altered(t, func(r map[string]any) { r["certificateAuthorities"] = []any{map[string]any{}} })},
		"null CA":         {"read trusted root", altered(t, func(r map[string]any) { r["certificateAuthorities"] = []any{nil} })},
		"no certificates": {"read trusted root", altered(t, func(r map[string]any) { first(r, "certificateAuthorities")["certChain"] = map[string]any{} })},
		"bad certificate": {"read trusted root", altered(t, func(r map[string]any) {
			first(r, "certificateAuthorities")["certChain"] = map[string]any{"certificates": []any{map[string]any{"rawBytes": "AAAA"}}}
		})},
		"log without key": {"read trusted root", altered(t, func(r map[string]any) { delete(first(r, "tlogs"), "publicKey") })},
		"hollow TSA":      {"read trusted root", altered(t, func(r map[string]any) { r["timestampAuthorities"] = []any{map[string]any{}} })},
		"hollow CT log":   {"read trusted root", altered(t, func(r map[string]any) { r["ctlogs"] = []any{map[string]any{}} })},
	} {
		s, err := LoadSigstore(test.data)
		refused(t, err, test.says)
		if s != nil {
			t.Errorf("%s: a root comes with the error", name)
		}
	}
	if _, err := NewSigstore(nil); !errors.Is(err, ErrNobody) {
		t.Errorf("nil material: %v", err)
	}
}
