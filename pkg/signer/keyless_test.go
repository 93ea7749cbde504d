package signer

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	sigstorebundle "github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

const statement = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"aa"}}],"predicateType":"https://example.com/p","predicate":{}}`

// opens verifies a bundle with sigstore-go's own verifier under the demands that every reader of keyless bundles makes.
func opens(t *testing.T, w *world, raw []byte) error {
	t.Helper()
	var b sigstorebundle.Bundle
	if err := b.UnmarshalJSON(raw); err != nil {
		return err
	}
	v, err := verify.NewVerifier(w.root.Material(), verify.WithTransparencyLog(1), verify.WithSignedCertificateTimestamps(1), verify.WithObserverTimestamps(1))
	if err != nil {
		t.Fatal(err)
	}
	who, err := verify.NewShortCertificateIdentity("https://issuer.test", "", "ann@example.com", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(&b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithCertificateIdentity(who)))
	return err
}

func TestKeylessBundleVerifies(t *testing.T) {
	for _, rekor := range []int{1, 2} {
		w := newWorld(t)
		s := w.signer(w.options(rekor))
		raw := mustSign(t, s, statement)
		if err := opens(t, w, raw); err != nil {
			t.Errorf("rekor v%d: %v\n%s", rekor, err, raw)
		}
		if d := decode(t, raw); string(d.Envelope.Payload) != statement || d.Envelope.PayloadType != inToto {
			t.Errorf("rekor v%d: envelope holds %q of type %q", rekor, d.Envelope.Payload, d.Envelope.PayloadType)
		}
		if opens(t, newWorld(t), raw) == nil {
			t.Errorf("rekor v%d: opens against another Sigstore", rekor)
		}
		if roots := s.Roots(); roots.Sigstore != w.root || len(roots.Keys)+len(roots.Authorities) != 0 || !roots.Time().Equal(worldTime) {
			t.Errorf("rekor v%d: roots are %+v", rekor, roots)
		}
	}
}

func TestKeylessBundleFollowsTheOMSSchema(t *testing.T) {
	schema, w := omsSchema(t), newWorld(t)
	for _, rekor := range []int{1, 2} {
		if err := validate(t, schema, mustSign(t, w.signer(w.options(rekor)), statement)); err != nil {
			t.Errorf("rekor v%d: %v", rekor, err)
		}
	}
}

func TestKeylessSignsAnyPayload(t *testing.T) {
	w := newWorld(t)
	s := w.signer(w.options(2))
	if _, err := s.Sign(t.Context(), "text/plain", []byte("no statement")); err != nil {
		t.Error(err)
	}
	before := w.asked("fulcio")
	_, err := s.Sign(t.Context(), "text/plain", nil)
	refused(t, err, "it is empty")
	if w.asked("fulcio") != before {
		t.Error("a server was asked for a signature on nothing")
	}
}

func TestKeylessTokenGoesToTheAuthorityOnly(t *testing.T) {
	for _, rekor := range []int{1, 2} {
		w := newWorld(t)
		mustSign(t, w.signer(w.options(rekor)), statement)
		for part, headers := range w.authors {
			sent := strings.Join(headers["Authorization"], " ")
			if want := part == "fulcio"; want != (sent != "") {
				t.Errorf("rekor v%d: %s got %d bytes of authorization", rekor, part, len(sent))
			}
		}
		if len(w.authors) != 3 {
			t.Errorf("rekor v%d: %d servers were asked, not 3", rekor, len(w.authors))
		}
	}
}

// TestKeylessWritesZerosOut: what protobuf's JSON would leave out, sigstore-python asks for.
func TestKeylessWritesZerosOut(t *testing.T) {
	w := newWorld(t)
	raw := mustSign(t, w.signer(w.options(2)), statement)
	for _, member := range []string{"integratedTime", "hashes"} {
		if !bytes.Contains(raw, []byte(`"`+member+`"`)) {
			t.Errorf("bundle without %s: %s", member, raw)
		}
	}
	if err := opens(t, w, raw); err != nil {
		t.Error(err)
	}
}

func TestKeylessOneCertificateServesManyBundles(t *testing.T) {
	w := newWorld(t)
	tokens := 0
	o := w.options(2)
	inner := o.Token
	o.Token = func(ctx context.Context) (string, error) { tokens++; return inner(ctx) } // one at a time by contract of the lock
	s := w.signer(o)
	if tokens != 0 {
		t.Error("token was asked for before it was needed")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			raw, err := s.Sign(t.Context(), inToto, []byte(statement))
			if err != nil {
				t.Error(err)
			} else if err := opens(t, w, raw); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.pass(8 * time.Minute)
	mustSign(t, s, statement)
	if w.asked("fulcio") != 1 || tokens != 1 || w.asked("rekor2") != 9 {
		t.Errorf("%d certificates, %d tokens, %d log entries; want 1, 1, 9", w.asked("fulcio"), tokens, w.asked("rekor2"))
	}
	w.pass(time.Minute) // a minute before its end
	if err := opens(t, w, mustSign(t, s, statement)); err != nil {
		t.Error(err)
	}
	if w.asked("fulcio") != 2 || tokens != 2 {
		t.Errorf("after nine minutes %d certificates and %d tokens, want 2", w.asked("fulcio"), tokens)
	}
}

func TestKeylessRefusesTokensBeforeDialling(t *testing.T) {
	w := newWorld(t)
	good := token(worldTime.Add(time.Minute))
	parts := strings.Split(good, ".")
	secret := parts[2]
	tests := []struct{ says, token string }{
		{"not an identity token", ""},
		{"not an identity token", parts[0] + "." + parts[1]},
		{"not an identity token", good + ".x"},
		{"not an identity token", parts[0] + "." + parts[1] + "."},
		{"not an identity token", parts[0] + ".{}." + secret},
		{"not an identity token", parts[0] + "." + parts[1] + ".a\r\nb" + secret},
		{"not an identity token", parts[0] + "." + parts[0][:8] + "." + secret},
		{"does not say when it expires", parts[0] + "." + parts[0] + "." + secret},
		{"at most 16384 are sent", good + strings.Repeat("A", MaxToken)},
		{"expired at 2026-03-01T11:59:00Z", token(worldTime.Add(-time.Minute))},
		{"expired at 2026-03-01T12:00:00Z", token(worldTime)},
	}
	for _, test := range tests {
		o := w.options(2)
		o.Token = func(context.Context) (string, error) { return test.token, nil }
		_, err := w.signer(o).Sign(t.Context(), inToto, []byte(statement))
		refused(t, err, test.says)
		if err != nil && strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("error shows the token: %v", err)
		}
	}
	o := w.options(2)
	gone := errors.New("no ambient credentials")
	o.Token = func(context.Context) (string, error) { return "", gone }
	if _, err := w.signer(o).Sign(t.Context(), inToto, []byte(statement)); !errors.Is(err, gone) {
		t.Errorf("token source's error: %v", err)
	}
	if n := w.asked("fulcio"); n != 0 {
		t.Errorf("%d requests were made with tokens that can't work", n)
	}
	o.Token = func(context.Context) (string, error) { return " " + good + "\r\n", nil }
	mustSign(t, w.signer(o), statement)
}

func TestKeylessRefusesUnusableCertificates(t *testing.T) {
	w := newWorld(t)
	other := newWorld(t)
	otherKey := func(rw http.ResponseWriter, r *http.Request) { // a valid certificate, of somebody else
		w.serveFulcioFor(rw, ecKey(t).Public())
	}
	tests := []struct {
		says  string
		world *world
		set   func(*KeylessOptions)
		skip  bool
		with  http.HandlerFunc
	}{
		{says: "another key than ours", with: otherKey},
		{says: "certificate transparency", skip: true},
		{says: "not by an authority of the trusted root", set: func(o *KeylessOptions) { o.TrustedRoot = other.root }},
	}
	for _, test := range tests {
		o := w.options(2)
		if test.set != nil {
			test.set(&o)
		}
		if test.with != nil {
			w.next("fulcio", test.with)
		}
		w.skipSCT = test.skip
		_, err := w.signer(o).Sign(t.Context(), inToto, []byte(statement))
		w.skipSCT = false
		refused(t, err, test.says)
		refused(t, err, "get a certificate from")
	}
	if w.asked("rekor2")+w.asked("tsa") != 0 {
		t.Error("something was published under a certificate that is no good")
	}
	mustSign(t, w.signer(w.options(2)), statement)
}

func TestKeylessRefusesBundlesThatWouldNotOpen(t *testing.T) {
	// A timestamp outside the certificate's validity: the authority's clock is an hour off from the certificate's.
	for _, off := range []time.Duration{time.Hour, -time.Hour} {
		w := newWorld(t)
		s := w.signer(w.options(2))
		w.next("tsa", func(rw http.ResponseWriter, r *http.Request) {
			w.pass(off)
			w.serveTSA(rw, r)
			w.pass(-off)
		})
		_, err := s.Sign(t.Context(), inToto, []byte(statement))
		failed(t, w, 1, err, "not valid at its time")
		if w.asked("rekor2") != 0 {
			t.Error("a signature was logged that nobody could verify")
		}
		// The certificate was dropped, and the next signature is good.
		if err := opens(t, w, mustSign(t, s, statement)); err != nil || w.asked("fulcio") != 2 {
			t.Errorf("after that: %v, %d certificates", err, w.asked("fulcio"))
		}
	}

	// Answers of another Sigstore, each well-formed.
	w, other := newWorld(t), newWorld(t)
	for part, c := range map[int]struct {
		other http.HandlerFunc
		says  string
	}{
		1: {other.serveTSA, "timestamp does not hold: it is by no authority"},
		2: {other.serveRekorV1, "log entry: "},
		3: {other.serveRekorV2, "log entry: "},
	} {
		s := w.signer(w.options(servers[part].rekor))
		before := w.asked("rekor2")
		w.next(servers[part].part, c.other)
		_, err := s.Sign(t.Context(), inToto, []byte(statement))
		failed(t, w, part, err, c.says)
		if part == 1 && w.asked("rekor2") != before {
			t.Error("a signature was logged that nobody could verify")
		}
		mustSign(t, s, statement)
	}
}

func TestKeylessRefusesASignatureByAnotherKey(t *testing.T) {
	w := newWorld(t)
	k := w.signer(w.options(2)).(*keyless)
	mustSign(t, k, statement)
	good := k.current.Load()
	other, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		t.Fatal(err)
	}
	k.current.Store(&identity{keypair: other, leaf: good.leaf}) // the tests' log takes any signature
	_, err = k.Sign(t.Context(), inToto, []byte(statement))
	refused(t, err, "check the new bundle: signature")
	k.current.Store(good)
	mustSign(t, k, statement)
}

func TestKeylessSignsAgainOnConflict(t *testing.T) {
	conflict := answer(http.StatusConflict, `{"message":"an equivalent entry already exists"}`)

	w := newWorld(t)
	w.next("rekor2", conflict)
	if err := opens(t, w, mustSign(t, w.signer(w.options(2)), statement)); err != nil {
		t.Error(err)
	}
	if w.asked("rekor2") != 2 || w.asked("tsa") != 2 || w.asked("fulcio") != 1 {
		t.Errorf("%d log entries, %d timestamps, %d certificates; want 2, 2, 1", w.asked("rekor2"), w.asked("tsa"), w.asked("fulcio"))
	}
	w.next("rekor2", conflict, conflict)
	_, err := w.signer(w.options(2)).Sign(t.Context(), inToto, []byte(statement))
	refused(t, err, "409")

	// Rekor v1 says where the entry is.
	w.next("rekor1", w.alreadyLogged)
	if err := opens(t, w, mustSign(t, w.signer(w.options(1)), statement)); err != nil {
		t.Error(err)
	}
	if w.asked("rekor1") != 2 {
		t.Errorf("%d requests to Rekor v1, want one for the entry and one to read it", w.asked("rekor1"))
	}
}

func TestNewKeylessRefuses(t *testing.T) {
	w := newWorld(t)
	edit := func(old, new string) func(*KeylessOptions) {
		return func(o *KeylessOptions) {
			if !bytes.Contains(o.SigningConfig, []byte(old)) {
				t.Fatalf("config has no %q", old)
			}
			o.SigningConfig = bytes.Replace(o.SigningConfig, []byte(old), []byte(new), 1)
		}
	}
	if _, err := NewKeyless(w.options(2)); err != nil {
		t.Fatalf("options without a fault: %v", err)
	}
	tests := []struct {
		says string
		set  func(*KeylessOptions)
	}{
		{"no identity token", func(o *KeylessOptions) { o.Token = nil }},
		{"nobody to trust", func(o *KeylessOptions) { o.TrustedRoot = nil }},
		{"nobody to trust", func(o *KeylessOptions) { o.TrustedRoot = &trust.Sigstore{} }},
		{"negative", func(o *KeylessOptions) { o.Timeout = -1 }},
		{"it is empty", func(o *KeylessOptions) { o.SigningConfig = nil }},
		{"at most", func(o *KeylessOptions) { o.SigningConfig = bytes.Repeat([]byte(" "), trust.MaxFile+1) }},
		{"read signing config", func(o *KeylessOptions) { o.SigningConfig = []byte("{") }},
		{"media type", func(o *KeylessOptions) { o.SigningConfig = []byte(`{"rekorTlogConfig":{"selector":"ANY"}}`) }},
		{"certificate authority from", edit(`"caUrls"`, `"oidcUrls"`)},
		{"transparency log from", edit(`"rekorTlogUrls"`, `"oidcUrls"`)},
		{"has no timestamp authority", edit(`"tsaUrls"`, `"oidcUrls"`)},
		{"how many", edit(`"rekorTlogConfig":{"selector":"ANY"},`, ``)},
		{"how many", edit(`,"tsaConfig":{"selector":"ANY"}`, ``)},
		{"selector", edit(`"selector":"ANY"`, `"selector":"SERVICE_SELECTOR_UNDEFINED"`)},
		{"certificate authority from", edit(`/fulcio","majorApiVersion":1`, `/fulcio","majorApiVersion":9`)},
		{"transparency log from", func(o *KeylessOptions) {
			o.SigningConfig = bytes.Replace(o.SigningConfig, []byte(`"majorApiVersion":2,"validFor":{"start":"2026-`), []byte(`"majorApiVersion":2,"validFor":{"start":"2027-`), 1)
		}},
		{"in the clear", edit(w.server.URL+"/fulcio", "http://fulcio.example/")},
		{"user, query or fragment", edit(w.server.URL+"/rekor2", "https://ann:secret@rekor.example/")},
		{"not an https URL", edit(w.server.URL+"/tsa", "file:///etc/passwd")},
		{"not an https URL", edit(w.server.URL+"/tsa", "tsa.example")},
	}
	for _, test := range tests {
		o := w.options(2)
		test.set(&o)
		_, err := NewKeyless(o)
		refused(t, err, test.says)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("error shows a URL's password: %v", err)
		}
	}
	for _, set := range []func(*KeylessOptions){
		edit(w.server.URL+"/fulcio", "https://fulcio.example/"),
		edit(w.server.URL+"/tsa", "http://tsa.example/api"), // what it gets is no secret, what it says is signed
		func(o *KeylessOptions) { // Rekor v1 vouches for a time itself
			o.SigningConfig = w.config(1)
			edit(`"tsaUrls"`, `"oidcUrls"`)(o)
		},
	} {
		o := w.options(2)
		set(&o)
		if _, err := NewKeyless(o); err != nil {
			t.Errorf("options without a fault: %v", err)
		}
	}
	if len(w.requests) != 0 {
		t.Error("making a signer dials")
	}
}

func TestKeylessWithoutTimestampAuthority(t *testing.T) {
	w := newWorld(t)
	o := w.options(1)
	o.SigningConfig = bytes.Replace(o.SigningConfig, []byte(`"tsaUrls"`), []byte(`"oidcUrls"`), 1)
	if err := opens(t, w, mustSign(t, w.signer(o), statement)); err != nil {
		t.Error(err)
	}
	if w.asked("tsa") != 0 {
		t.Error("a timestamp authority was asked that the config does not have")
	}
}
