package keyless

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/test/lab"
	"github.com/hallmark-project/hallmark/test/lab/sigstore"
	"github.com/hallmark-project/hallmark/test/lab/tuf"
)

// TestKeylessStory signs as the trainer and verifies as everybody else: with the servers, without them, and as somebody
// who trusts others.
func TestKeylessStory(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t, sigstore.Options{}), newWorld(t, sigstore.Options{})
	a := w.sign(w.model)
	if a.code != 0 || !strings.Contains(a.out, "by         "+trainer+" ("+w.Issuer+")\n") {
		t.Fatalf("sign: exit %d\n%s%s", a.code, a.out, a.err)
	}
	if certificates := w.asked(sigstore.Fulcio); certificates != 1 {
		t.Errorf("%d certificates for one artifact, want 1", certificates)
	}
	w.clearFaults()
	for _, flags := range [][]string{nil, {"--offline"}} {
		if a := w.verify(w.model, flags...); a.code != 0 || !strings.HasPrefix(a.out, "yes ") || !strings.Contains(a.out, "timestamped 2") {
			t.Errorf("verify %v: exit %d\n%s%s", flags, a.code, a.out, a.err)
		}
	}
	for name, flags := range map[string][]string{
		"another identity":                {"--identity", "trainer@example.org"},
		"the identity's beginning":        {"--identity", "trainer@example.co"},
		"a pattern":                       {"--identity", ".*"},
		"another provider":                {"--identity-provider", other.Issuer},
		"the provider, otherwise written": {"--identity-provider", w.Issuer + "/"},
	} {
		if a := w.verify(w.model, flags...); a.code != 1 || !strings.Contains(a.out, "untrusted-signer\n") {
			t.Errorf("%s: exit %d\n%s%s", name, a.code, a.out, a.err)
		}
	}
	if a := w.verify(w.model, "--trusted-root", other.TrustedRoot); a.code != 1 || !strings.Contains(a.out, "log-untrusted\n") {
		t.Errorf("another trust root: exit %d\n%s%s", a.code, a.out, a.err)
	}
	for s := range w.proxies {
		if n := w.asked(sigstore.Server(s)); n != 0 {
			t.Errorf("verifying asked %s %d times", sigstore.Server(s), n)
		}
	}
	write(t, filepath.Join(w.model, "model.safetensors"), "weightz")
	if a := w.verify(w.model); a.code != 1 || !strings.Contains(a.out, "digest-mismatch\n") {
		t.Errorf("a changed file: exit %d\n%s%s", a.code, a.out, a.err)
	}
}

// TestKeylessAfterATrustUpdateNeedsNoFlags has the instance publish trusted root and signing config through TUF: one update
// later, sign and verify know whom to ask and whom to believe.
func TestKeylessAfterATrustUpdateNeedsNoFlags(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sigstore.Options{})
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	soon := time.Now().Add(time.Hour)
	repo := tuf.New(t, soon, soon)
	repo.Config = read(w.SigningConfig)
	repo.Publish(read(w.TrustedRoot))
	anchor, dir := filepath.Join(t.TempDir(), "root.json"), filepath.Join(t.TempDir(), "trust")
	write(t, anchor, string(repo.Anchor()))
	if a := w.hallmark("trust", "update", "--mirror", repo.URL, "--root", anchor, "--trust-dir", dir); a.code != 0 || !strings.Contains(a.out, "signers ask   "+w.URL(sigstore.Rekor)) {
		t.Fatalf("trust update: exit %d\n%s%s", a.code, a.out, a.err)
	}
	sign := []string{"sign", w.model, "--trust-dir", dir, "--identity-token-file", w.tokenFile(sigstore.TokenOptions{})}
	if a := w.hallmark(sign...); a.code != 0 {
		t.Fatalf("sign: exit %d\n%s%s", a.code, a.out, a.err)
	}
	verify := []string{"verify", w.model, "--identity", trainer, "--identity-provider", w.Issuer, "--trust-dir"}
	if a := w.hallmark(append(verify, dir)...); a.code != 0 || !strings.HasPrefix(a.out, "yes ") {
		t.Errorf("verify: exit %d\n%s%s", a.code, a.out, a.err)
	}
	if a := w.hallmark(append(verify, t.TempDir())...); a.code != 4 {
		t.Errorf("verify with nothing imported: exit %d\n%s%s", a.code, a.out, a.err)
	}
}

// TestKeylessAlongARegistry signs what lies in a layout, and what is pushed with its signature.
func TestKeylessAlongARegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sigstore.Options{})
	ref := "oci:" + filepath.Join(t.TempDir(), "layout") + ":v1"
	if a := w.hallmark("push", w.model, ref); a.code != 0 {
		t.Fatalf("push: exit %d\n%s", a.code, a.err)
	}
	if a := w.verify(ref); a.code != 1 || !strings.Contains(a.out, "no-evidence") {
		t.Errorf("before it is signed: exit %d\n%s%s", a.code, a.out, a.err)
	}
	if a := w.sign(ref); a.code != 0 {
		t.Fatalf("sign in the layout: exit %d\n%s", a.code, a.err)
	}
	if a := w.verify(ref, "--offline"); a.code != 0 {
		t.Errorf("verify in the layout: exit %d\n%s%s", a.code, a.out, a.err)
	}
	dir := filepath.Join(t.TempDir(), "pulled")
	pull := []string{"pull", ref, dir, "--trusted-root", w.TrustedRoot, "--identity", trainer, "--identity-provider", w.Issuer}
	if a := w.hallmark(pull...); a.code != 0 {
		t.Fatalf("pull: exit %d\n%s%s", a.code, a.out, a.err)
	}
	if a := w.verify(dir, "--offline"); a.code != 0 {
		t.Errorf("verify what was pulled: exit %d\n%s%s", a.code, a.out, a.err)
	}
}

// TestKeylessManyShareACertificate signs ten artifacts with one command, beside one that is not there: one token, one
// certificate, and all of them at the same time.
func TestKeylessManyShareACertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sigstore.Options{})
	const many = 10
	args := []string{"sign"}
	for i := range many {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("model%d.bin", i))
		write(t, path, fmt.Sprint("weights ", i))
		args = append(args, path)
	}
	var arrived atomic.Int32
	all := make(chan struct{})
	together := lab.Fault{Name: "waits for the others", Do: func(x *lab.Exchange) {
		if arrived.Add(1) == 2*many {
			close(all)
		}
		select {
		case <-all:
		case <-t.Context().Done(): // one after the other, they would wait for ever
		}
		x.Give(x.Ask())
	}}
	w.proxies[sigstore.Rekor].Set(lab.Rule{Fault: together})
	flags := []string{"--identity-token-file", w.tokenFile(sigstore.TokenOptions{}), "--trusted-root", w.TrustedRoot, "--signing-config", w.SigningConfig}
	a := w.hallmark(slices.Concat(args, []string{filepath.Join(t.TempDir(), "none")}, flags)...)
	if a.code != 3 || strings.Count(a.out, "signed  ") != many || !strings.Contains(a.err, "none: no such file") {
		t.Fatalf("exit %d\n%s%s", a.code, a.out, a.err)
	}
	if got := [3]int{w.asked(sigstore.Fulcio), w.asked(sigstore.TSA), w.asked(sigstore.Rekor)}; got != [3]int{1, 2 * many, 2 * many} {
		t.Errorf("asked for %v certificates, timestamps and entries", got)
	}
	for _, path := range args[1:] {
		if a := w.verify(path); a.code != 0 {
			t.Errorf("verify %s: exit %d\n%s%s", path, a.code, a.out, a.err)
		}
	}
}

// TestKeylessSecondSigner: neither signature replaces the other.
func TestKeylessSecondSigner(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sigstore.Options{})
	w.mustSign()
	token, err := w.Token("reviewer@example.com", sigstore.TokenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, token+"\n")
	if a := w.signWith(path, w.model); a.code != 0 || !strings.Contains(a.out, "claims.sig") {
		t.Fatalf("second signature: exit %d\n%s%s", a.code, a.out, a.err)
	}
	for _, who := range []string{trainer, "reviewer@example.com"} {
		if a := w.verify(w.model, "--identity", who); a.code != 0 {
			t.Errorf("%s: exit %d\n%s%s", who, a.code, a.out, a.err)
		}
	}
	if a := w.verify(w.model, "--identity", "stranger@example.com"); a.code != 1 {
		t.Errorf("stranger: exit %d\n%s%s", a.code, a.out, a.err)
	}
}
