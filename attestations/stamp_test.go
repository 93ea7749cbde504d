package attestations_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

const notBefore = "io.github.hallmark-project.not-before"

// annotated is a statement with an annotation on one of its subjects, beside those that are there.
func annotated(t *testing.T, payload []byte, subject int, value any) []byte {
	t.Helper()
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	on := all["subject"].([]any)[subject].(map[string]any)
	if on["annotations"] == nil {
		on["annotations"] = map[string]any{}
	}
	on["annotations"].(map[string]any)[notBefore] = value
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// claimOf signs a payload as it is and reads the claim.
func claimOf(t *testing.T, by signer.Signer, payload []byte) (attestations.Claim, error) {
	t.Helper()
	raw, err := by.Sign(ctx, attestations.PayloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	a, err := attestations.Open(raw, by.Roots())
	if err != nil {
		t.Fatal(err)
	}
	return attestations.ReadClaim(a)
}

func TestSignPutsATimestampInsideEveryClaim(t *testing.T) {
	w, root := witnesses(t)
	by := newSigner(t)
	seen := witnessed(t, by, w, root)
	for kind, p := range samples() {
		st, err := state(p)
		if err != nil {
			t.Fatal(err)
		}
		_, a, err := attestations.Sign(ctx, st, seen)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		c, err := attestations.ReadClaim(a)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if at, ok, err := c.NotBefore(seen.Roots()); err != nil || !ok || !at.Equal(signedAt) {
			t.Errorf("%s: not before %s, %v: %v", kind, at, ok, err)
		}
		if _, ok, err := c.NotBefore(by.Roots()); ok || err != nil {
			t.Errorf("%s: a bound without a trusted root: %v", kind, err)
		}
		// Signed by the same key and seen by nobody, it is what was stated, to the byte.
		bare, a, err := attestations.Sign(ctx, st, by)
		if err != nil {
			t.Fatal(err)
		}
		if got := payloadOf(t, bare); !bytes.Equal(got, st.Payload()) || bytes.Contains(got, []byte(notBefore)) {
			t.Errorf("%s: without an authority another statement is signed: %s", kind, got)
		}
		if c, err = attestations.ReadClaim(a); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := c.NotBefore(seen.Roots()); ok || err != nil {
			t.Errorf("%s: a bound without a timestamp: %v", kind, err)
		}
	}
}

func TestStatementWithoutATimestampIsWrittenAsEver(t *testing.T) {
	st, err := state(samples()[attestations.PredicateDeployment])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"chat","digest":{"sha256":"` + chat.ID[7:] +
		`"},"annotations":{"io.github.hallmark-project.kind":"model"}}],"predicateType":"` + attestations.PredicateDeployment + `","predicate":`
	if got := string(st.Payload()); !strings.HasPrefix(got, want) {
		t.Errorf("%s\nbegins otherwise than\n%s", got, want)
	}
	if st, err = state(samples()[attestations.PredicateRevocations]); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(st.Payload()), "annotations") {
		t.Errorf("a list is annotated: %s", st.Payload())
	}
}

func TestClaimIsBoundByATimestampOnItsSubjectAlone(t *testing.T) {
	w, root := witnesses(t)
	stranger, _ := witnesses(t)
	by := newSigner(t)
	roots := by.Roots()
	roots.Sigstore = root
	list := samples()[attestations.PredicateRevocations].(attestations.Revocations)
	commit := list
	commit.Entries = []attestations.Revocation{{Digest: attestations.Digest{Class: attestations.ClassGitCommit, Hex: hexOf(7)[:40]},
		Scope: attestations.ScopeDescendants, Reason: "backdoor", Since: began}}
	for name, c := range map[string]struct {
		p  attestations.Predicate
		on string
	}{
		"claim":            {samples()[attestations.PredicateApproval], chat.ID},
		"list":             {list, "sha256:" + hexOf(12)},
		"list of a commit": {commit, "gitCommit:" + hexOf(7)[:40]},
	} {
		st, err := state(c.p)
		if err != nil {
			t.Fatal(err)
		}
		stamped := func(from interface {
			Stamp([]byte) ([]byte, error)
		}, on string) string {
			s, err := from.Stamp([]byte(on))
			if err != nil {
				t.Fatal(err)
			}
			return base64.StdEncoding.EncodeToString(s)
		}
		for what, stamp := range map[string]string{
			"by a stranger":            stamped(stranger, c.on),
			"on another artifact":      stamped(w, "sha256:"+hexOf(55)),
			"on the digest's bare hex": stamped(w, c.on[strings.Index(c.on, ":")+1:]),
			"that is none":             base64.StdEncoding.EncodeToString([]byte("yesterday")),
			"that is huge":             base64.StdEncoding.EncodeToString(make([]byte, trust.MaxTimestamp+1)),
		} {
			claim, err := claimOf(t, by, annotated(t, st.Payload(), 0, stamp))
			if err != nil {
				t.Fatalf("%s, a timestamp %s: %v", name, what, err)
			}
			if _, ok, err := claim.NotBefore(roots); ok || reason(err) != policy.TimestampInvalid {
				t.Errorf("%s, a timestamp %s: %v, %v", name, what, ok, err)
			}
		}
		var malformed *attestations.StatementError
		for what, value := range map[string]any{"not base64": "*", "null": nil, "a number": 7, "a list": []string{"AA=="}} {
			if _, err := claimOf(t, by, annotated(t, st.Payload(), 0, value)); !errors.As(err, &malformed) {
				t.Errorf("%s, a timestamp that is %s: %v", name, what, err)
			}
		}
		// One that somebody got earlier moves the bound down, and not up.
		w.Set(signedAt.Add(-time.Hour))
		early := stamped(w, c.on)
		w.Set(signedAt)
		claim, err := claimOf(t, by, annotated(t, st.Payload(), 0, early))
		if err != nil {
			t.Fatal(err)
		}
		if at, ok, err := claim.NotBefore(roots); err != nil || !ok || !at.Equal(signedAt.Add(-time.Hour)) {
			t.Errorf("%s, an early timestamp: not before %s, %v: %v", name, at, ok, err)
		}
	}

	// A list has one timestamp, at its first subject.
	st, err := state(list)
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Stamp([]byte("sha256:" + hexOf(14)))
	if err != nil {
		t.Fatal(err)
	}
	var malformed *attestations.StatementError
	if _, err := claimOf(t, by, annotated(t, st.Payload(), 1, s)); !errors.As(err, &malformed) {
		t.Errorf("a list with a timestamp at its second subject: %v", err)
	}
}
