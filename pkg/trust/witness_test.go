package trust

import (
	"crypto"
	"crypto/elliptic"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// names are the parties of a root.
func names(s *Sigstore) []string {
	var out []string
	for _, w := range s.Witnesses() {
		out = append(out, w.Name())
	}
	return out
}

func TestWitnessesArePartiesNotKeys(t *testing.T) {
	ca := issue(t, nil, caTemplate("fulcio"))
	same := ecKey(t, elliptic.P256()).Public()
	type run struct {
		url, operator string
		key           crypto.PublicKey
	}
	other := func() crypto.PublicKey { return ecKey(t, elliptic.P256()).Public() }
	tsaRoot := issue(t, nil, caTemplate("tsa"))
	for name, c := range map[string]struct {
		logs   []run
		stamps []run // the key is not used: all are under one certificate
		want   []string
	}{
		"two domains":                {[]run{{"https://log.one.test", "", other()}, {"https://two.test/x", "", other()}}, nil, []string{"one.test", "two.test"}},
		"two logs of a domain":       {[]run{{"https://2025.log.test", "", other()}, {"https://2026.log.test", "", other()}}, nil, []string{"log.test"}},
		"public suffixes are no one": {[]run{{"https://a.github.io", "", other()}, {"https://b.github.io", "", other()}}, nil, []string{"a.github.io", "b.github.io"}},
		"one operator":               {[]run{{"https://one.test", "acme", other()}, {"https://two.test", "acme", other()}}, nil, []string{"acme"}},
		"two operators of a domain":  {[]run{{"https://a.one.test", "acme", other()}, {"https://b.one.test", "bolt", other()}}, nil, []string{"acme", "bolt"}},
		"one key":                    {[]run{{"https://one.test", "", same}, {"https://two.test", "", same}}, nil, []string{"one.test"}},
		"one address":                {[]run{{"http://127.0.0.1:1", "", other()}, {"http://127.0.0.1:2", "", other()}}, nil, []string{"127.0.0.1:1", "127.0.0.1:2"}},
		"a log and its own clock":    {[]run{{"https://rekor.one.test", "", other()}}, []run{{url: "https://tsa.one.test"}}, []string{"one.test"}},
		"clocks under one root":      {[]run{{"https://rekor.one.test", "", other()}}, []run{{url: "https://a.test"}, {url: "https://b.test"}}, []string{"a.test", "one.test"}},
		"a clock that joins two logs": {[]run{{"https://one.test", "", other()}, {"https://two.test", "", other()}},
			[]run{{url: "https://tsa.one.test"}, {url: "https://tsa.two.test"}}, []string{"one.test"}},
	} {
		logs, by := map[string]*root.TransparencyLog{}, operators{logs: map[string]string{}}
		for i, l := range c.logs {
			id := []byte{byte(i)}
			logs[hex.EncodeToString(id)] = &root.TransparencyLog{BaseURL: l.url, ID: id, PublicKey: l.key}
			by.logs[hex.EncodeToString(id)] = l.operator
		}
		var stamps []root.TimestampingAuthority
		for _, s := range c.stamps {
			stamps = append(stamps, &root.SigstoreTimestampingAuthority{URI: s.url, Root: tsaRoot.cert})
		}
		material, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: ca.cert}}, nil, stamps, logs)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newSigstore(material, by)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(s); !slices.Equal(got, c.want) {
			t.Errorf("%s: parties %q, want %q", name, got, c.want)
		}
		total := 0
		for _, w := range s.Witnesses() {
			total += len(w.Material().RekorLogs()) + len(w.Material().TimestampingAuthorities())
		}
		if total != len(c.logs)+len(c.stamps) {
			t.Errorf("%s: the parties have %d services of %d", name, total, len(c.logs)+len(c.stamps))
		}
	}
}

func TestPublicGoodIsOneParty(t *testing.T) {
	s, err := LoadSigstore(vectors(t, publicGood))
	if err != nil {
		t.Fatal(err)
	}
	if got := names(s); !slices.Equal(got, []string{"sigstore.dev"}) {
		t.Errorf("parties %q", got)
	}
	s, err = LoadSigstore(altered(t, func(r map[string]any) {
		r["tlogs"].([]any)[0].(map[string]any)["operator"] = "elsewhere.test"
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got := names(s); !slices.Equal(got, []string{"elsewhere.test", "sigstore.dev"}) {
		t.Errorf("parties %q where the root names another operator", got)
	}
}

func TestEntriesListWhatIsTrusted(t *testing.T) {
	s, err := LoadSigstore(vectors(t, publicGood))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[Kind]int{}
	for _, e := range s.Entries() {
		counts[e.Kind]++
		if !strings.HasPrefix(e.Name, "https://") || len(e.KeyID) != 64 || e.From == nil {
			t.Errorf("entry %+v", e)
		}
		if (e.Kind == KindLog || e.Kind == KindStamp) != (e.Party == "sigstore.dev") {
			t.Errorf("party of %+v", e)
		}
		if (e.Kind == KindAuthority || e.Kind == KindStamp) != (e.Subject != "") || e.Kind == KindAuthority && e.Until == nil {
			t.Errorf("certificate of %+v", e)
		}
	}
	if counts[KindAuthority] != 2 || counts[KindLog] != 2 || counts[KindCTLog] != 2 || counts[KindStamp] != 1 {
		t.Errorf("entries %v", counts)
	}
}

func TestWarningsComeBeforeTheEnd(t *testing.T) {
	soon, past := then.Add(Notice), then.Add(-time.Hour)
	late, early := soon.Add(time.Second), then.Add(time.Hour)
	all := func(until *time.Time) []Entry {
		var out []Entry
		for _, k := range kinds {
			out = append(out, Entry{Kind: k, Name: "https://a.test"}) // open on both sides
		}
		return append(out, Entry{Kind: KindLog, Name: "https://log.test", From: &past, Until: until})
	}
	for name, c := range map[string]struct {
		entries []Entry
		says    []string
	}{
		"nothing ends":    {all(nil), nil},
		"just not yet":    {all(&late), nil},
		"within notice":   {all(&soon), []string{"transparency-log https://log.test ends 2026-07-01 00:00 UTC"}},
		"already history": {all(&past), nil},
		"none is left": {append(all(nil)[:3], Entry{Kind: KindStamp, Name: "x", Until: &past}, Entry{Kind: KindStamp, Name: "y", From: &early}),
			[]string{"no timestamp-authority is valid now: nothing new can be verified with it"}},
	} {
		if got := Warnings(c.entries, then); !slices.Equal(got, c.says) {
			t.Errorf("%s: %q, want %q", name, got, c.says)
		}
	}
}

// TestVerifyChainNamesEveryAuthority has one intermediate certified by two authorities: whoever trusts one of them
// trusts the leaf, whichever is found first.
func TestVerifyChainNamesEveryAuthority(t *testing.T) {
	one, two, stranger := issue(t, nil, caTemplate("one")), issue(t, nil, caTemplate("two")), issue(t, nil, caTemplate("stranger"))
	middle := issue(t, one, caTemplate("middle"))
	crossed := cross(t, two, middle)
	leaf := issue(t, middle, leafTemplate("ann"))
	for _, roots := range []Roots{mustAuthorities(t, one, two, stranger), mustAuthorities(t, stranger, two, one, two)} {
		s, err := roots.VerifyChain(leaf.cert, certificates(middle, crossed), then)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range roots.Authorities {
			want := !a.certificate.Equal(stranger.cert)
			if got := (Identity{CA: a.Fingerprint(), Subject: "CN=ann"}).Matches(s); got != want {
				t.Errorf("%s matches: %t, want %t, signer %+v", a.certificate.Subject, got, want, s)
			}
		}
		if len(s.Others) != 1 || s.CA == s.Others[0] {
			t.Errorf("signer %+v", s)
		}
	}
}
