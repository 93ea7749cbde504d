package keyless

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/test/lab/sigstore"
)

// TestKeylessRefusesTokens brings tokens that nobody should take. Some are refused here, without a request; the rest by
// Fulcio, at once. None of a token is ever said.
func TestKeylessRefusesTokens(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t, sigstore.Options{}), newWorld(t, sigstore.Options{})
	long := sigstore.TokenOptions{Padding: 16 << 10}
	for _, test := range []struct {
		name    string
		issuer  *world
		o       sigstore.TokenOptions
		says    string
		arrives bool
	}{
		{"expired", w, sigstore.TokenOptions{Lifetime: -time.Minute}, "identity token expired at ", false},
		{"unsigned", w, sigstore.TokenOptions{Unsigned: true}, "it is not an identity token", false},
		{"enormous", w, long, "larger than 16384 bytes", false},
		{"for another audience", w, sigstore.TokenOptions{Audience: "payments"}, "it is for the audience \"payments\", not \"sigstore\", and is not sent", false},
		{"forged", w, sigstore.TokenOptions{Forged: true}, "There was an error processing the identity token", true},
		{"of another provider", other, sigstore.TokenOptions{}, "There was an error processing the identity token", true},
	} {
		w.clearFaults()
		path := test.issuer.tokenFile(test.o)
		a := w.signWith(path, w.model)
		w.failed(a, test.says)
		if asked := w.asked(sigstore.Fulcio); asked != 0 != test.arrives || asked > 1 {
			t.Errorf("%s: Fulcio was asked %d times", test.name, asked)
		}
		if n := w.asked(sigstore.TSA) + w.asked(sigstore.Rekor); n != 0 {
			t.Errorf("%s: %d requests followed", test.name, n)
		}
		token, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(token), ".") {
			if len(part) > 16 && strings.Contains(a.out+a.err, part[:16]) {
				t.Errorf("%s: the token is shown:\n%s", test.name, a.err)
			}
		}
	}
	for _, text := range []string{"", "x", "a.b.c", strings.Repeat("x", 5<<20)} {
		w.clearFaults()
		path := filepath.Join(t.TempDir(), "token")
		write(t, path, text)
		w.failed(w.signWith(path, w.model), "token")
		if n := w.asked(sigstore.Fulcio); n != 0 {
			t.Errorf("Fulcio was asked %d times with %d bytes that are no token", n, len(text))
		}
	}
	w.failed(w.signWith(filepath.Join(t.TempDir(), "none"), w.model), "no such file")

	large := w.tokenFile(sigstore.TokenOptions{Padding: 8 << 10})
	if a := w.signWith(large, w.model); a.code != 0 {
		t.Errorf("a large but sound token: exit %d\n%s", a.code, a.err)
	}
	if a := w.verify(w.model); a.code != 0 {
		t.Errorf("verify: exit %d\n%s%s", a.code, a.out, a.err)
	}
}
