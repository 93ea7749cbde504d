package attestations_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/test/lab/witness"
)

// witnesses starts a timestamp authority and a log at the time signedAt.
func witnesses(t *testing.T) (*witness.Witnesses, *trust.Sigstore) {
	t.Helper()
	w, err := witness.New(signedAt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	root, err := trust.LoadSigstore(w.TrustedRoot)
	if err != nil {
		t.Fatal(err)
	}
	return w, root
}

func witnessed(t *testing.T, by signer.Signer, w *witness.Witnesses, root *trust.Sigstore) signer.Signer {
	t.Helper()
	s, err := signer.NewWitnessed(by, signer.WitnessOptions{TrustedRoot: root, SigningConfig: w.SigningConfig, Now: func() time.Time { return signedAt }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// certified is a signer by a certificate of a thousand years, so that it may sign whatever the machine's clock says.
func certified(t *testing.T) signer.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: signedAt.AddDate(1000, 0, 0),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "ann"}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Unix(0, 0), NotAfter: signedAt.AddDate(1000, 0, 0),
	}
	var parsed []*x509.Certificate
	for _, c := range []*x509.Certificate{ca, leaf} {
		der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		p, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, p)
	}
	s, err := signer.NewCertificate(key, parsed[1], parsed[:1])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func opensNot(t *testing.T, name string, b attestations.Bundle, roots trust.Roots, want policy.Reason) {
	t.Helper()
	if _, err := attestations.Open(b, roots); reason(err) != want {
		t.Errorf("%s: %v, want %s", name, err, want)
	}
}

// edited is b with its verification material changed.
func edited(t *testing.T, b attestations.Bundle, change func(material map[string]any)) attestations.Bundle {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	change(all["verificationMaterial"].(map[string]any))
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func stamps(responses ...[]byte) map[string]any {
	list := []any{}
	for _, r := range responses {
		list = append(list, map[string]any{"signedTimestamp": base64.StdEncoding.EncodeToString(r)})
	}
	return map[string]any{"rfc3161Timestamps": list}
}

func TestOpenTellsWhatWitnessesSaw(t *testing.T) {
	w, root := witnesses(t)
	for name, by := range map[string]signer.Signer{"key": newSigner(t), "certificate": certified(t)} {
		signed, err := attestations.SignArtifact(ctx, artifact(t, manifest.Options{}), attestations.KindModel, witnessed(t, by, w, root))
		if err != nil {
			t.Fatal(err)
		}
		checkSchema(t, signed.Signature)
		roots := by.Roots()
		a, err := attestations.Open(signed.Signature, roots)
		if err != nil {
			t.Fatalf("%s without a trusted root: %v", name, err)
		}
		if _, _, ok := a.Time(); ok || len(a.Logs())+len(a.Clocks()) > 0 {
			t.Errorf("%s: a time is believed that nobody trusted vouches for", name)
		}
		roots.Sigstore = root
		if a, err = attestations.Open(signed.Signature, roots); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		at, source, ok := a.Time()
		if !ok || !at.Equal(signedAt) || source != "timestamped" || len(a.Logs()) != 1 || len(a.Clocks()) != 1 {
			t.Errorf("%s: %s %s, logged by %q, timed by %q", name, source, at, a.Logs(), a.Clocks())
		}
		s, err := attestations.ReadSignature(a)
		if err != nil {
			t.Fatal(err)
		}
		before, ok, err := s.NotBefore(roots)
		if err != nil || !ok || !before.Equal(signedAt) {
			t.Errorf("%s: not before %s, %v: %v", name, before, ok, err)
		}
		if _, ok, err := s.NotBefore(by.Roots()); ok || err != nil {
			t.Errorf("%s: a bound without a trusted root: %v", name, err)
		}
		s.ArtifactID = "sha256:" + strings.Repeat("0", 64)
		if _, ok, err := s.NotBefore(roots); ok || !errors.Is(err, trust.ErrTimestamp) {
			t.Errorf("%s: a stamp on another ID: %v", name, err)
		}
	}
}

func TestOpenRefusesWitnessesThatDoNotHold(t *testing.T) {
	w, root := witnesses(t)
	by := newSigner(t)
	st, err := attestations.NewSignature(artifact(t, manifest.Options{}), attestations.KindModel)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := attestations.Sign(ctx, st, witnessed(t, by, w, root))
	if err != nil {
		t.Fatal(err)
	}
	roots := by.Roots()
	roots.Sigstore = root
	elsewhere, err := w.Stamp([]byte("another signature"))
	if err != nil {
		t.Fatal(err)
	}
	_, stranger := witnesses(t)
	other := roots
	other.Sigstore = stranger
	opensNot(t, "another trusted root", b, other, policy.TimestampInvalid)
	noStamp := func(m map[string]any) { delete(m, "timestampVerificationData") }
	opensNot(t, "another root's log", edited(t, b, noStamp), other, policy.LogUntrusted)
	for name, c := range map[string]struct {
		reason policy.Reason
		change func(map[string]any)
	}{
		"a stamp on another signature": {policy.TimestampInvalid, func(m map[string]any) { m["timestampVerificationData"] = stamps(elsewhere) }},
		"no stamp at all":              {policy.TimestampInvalid, func(m map[string]any) { m["timestampVerificationData"] = stamps([]byte("x")) }},
		"a huge stamp":                 {policy.TimestampInvalid, func(m map[string]any) { m["timestampVerificationData"] = stamps(make([]byte, trust.MaxTimestamp+1)) }},
		"too many stamps": {policy.TimestampInvalid, func(m map[string]any) {
			m["timestampVerificationData"] = stamps(make([][]byte, trust.MaxTimestamps+1)...)
		}},
		"stamps of another kind": {policy.BundleMalformed, func(m map[string]any) { m["timestampVerificationData"] = map[string]any{"rfc9999": 1} }},
		"an empty log entry":     {policy.LogInvalid, func(m map[string]any) { m["tlogEntries"] = []any{map[string]any{}} }},
		"the same entry twice": {policy.LogInvalid, func(m map[string]any) {
			m["tlogEntries"] = append(m["tlogEntries"].([]any), m["tlogEntries"].([]any)...)
		}},
		"an entry of another bundle": {policy.LogInvalid, func(m map[string]any) {
			other, _, err := attestations.Sign(ctx, st, witnessed(t, newSigner(t), w, root))
			if err != nil {
				t.Fatal(err)
			}
			edited(t, other, func(o map[string]any) { m["tlogEntries"] = o["tlogEntries"] })
		}},
	} {
		opensNot(t, name, edited(t, b, c.change), roots, c.reason)
	}
	for name, change := range map[string]func(map[string]any){
		"nothing changed": func(map[string]any) {},
		"one of two stamps is bad": func(m map[string]any) {
			m["timestampVerificationData"].(map[string]any)["rfc3161Timestamps"] = append(stamps(elsewhere)["rfc3161Timestamps"].([]any), m["timestampVerificationData"].(map[string]any)["rfc3161Timestamps"].([]any)...)
		},
	} {
		a, err := attestations.Open(edited(t, b, change), roots)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if at, _, ok := a.Time(); !ok || !at.Equal(signedAt) {
			t.Errorf("%s: time is %s", name, at)
		}
	}
	// Taken away, they are not believed, and nothing else changes.
	bare := edited(t, b, func(m map[string]any) { noStamp(m); m["tlogEntries"] = []any{} })
	a, err := attestations.Open(bare, roots)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := a.Time(); ok || len(a.Logs())+len(a.Clocks()) > 0 {
		t.Error("a time or a log entry is believed that is not there")
	}
}

func TestOpenTakesTheEarliestTime(t *testing.T) {
	w, root := witnesses(t)
	by := newSigner(t)
	st, err := attestations.NewSignature(artifact(t, manifest.Options{}), attestations.KindModel)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := attestations.Sign(ctx, st, by)
	if err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Envelope struct{ Signatures []struct{ Sig []byte } } `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	var made [][]byte
	for _, hours := range []int{3, 1, 2} {
		w.Set(signedAt.Add(time.Duration(hours) * time.Hour))
		s, err := w.Stamp(raw.Envelope.Signatures[0].Sig)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, s)
	}
	roots := by.Roots()
	roots.Sigstore = root
	a, err := attestations.Open(edited(t, b, func(m map[string]any) { m["timestampVerificationData"] = stamps(made...) }), roots)
	if err != nil {
		t.Fatal(err)
	}
	if at, _, _ := a.Time(); !at.Equal(signedAt.Add(time.Hour)) {
		t.Errorf("time is %s: the signature was there an hour after %s", at, signedAt)
	}
}

func TestTimestampedBundleOutlivesItsCertificate(t *testing.T) {
	w, root := witnesses(t)
	by := certified(t)
	st, err := attestations.NewSignature(artifact(t, manifest.Options{}), attestations.KindModel)
	if err != nil {
		t.Fatal(err)
	}
	stamped, _, err := attestations.Sign(ctx, st, witnessed(t, by, w, root))
	if err != nil {
		t.Fatal(err)
	}
	roots := by.Roots()
	roots.Sigstore = root
	if _, err := attestations.Open(stamped, roots); err != nil {
		t.Errorf("today: %v", err)
	}
	expired := signedAt.AddDate(1001, 0, 0)
	roots.Now = func() time.Time { return expired }
	if _, err := attestations.Open(stamped, roots); err != nil {
		t.Errorf("after the certificate's end: %v", err)
	}
	roots.Sigstore = nil
	opensNot(t, "without a trusted root", stamped, roots, policy.CertificateExpired)
	roots.Sigstore = root
	bare, _, err := attestations.Sign(ctx, st, by)
	if err != nil {
		t.Fatal(err)
	}
	opensNot(t, "without a timestamp", bare, roots, policy.CertificateExpired)

	late, err := witness.New(expired)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if roots.Sigstore, err = trust.LoadSigstore(late.TrustedRoot); err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Envelope struct{ Signatures []struct{ Sig []byte } } `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(bare, &raw); err != nil {
		t.Fatal(err)
	}
	stamp, err := late.Stamp(raw.Envelope.Signatures[0].Sig)
	if err != nil {
		t.Fatal(err)
	}
	opensNot(t, "timestamped too late", edited(t, bare, func(m map[string]any) { m["timestampVerificationData"] = stamps(stamp) }), roots, policy.CertificateExpired)
}
