package sigstore

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// signIn signs a statement keyless in a world.
func signIn(t *testing.T, w *World, token string) ([]byte, error) {
	t.Helper()
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	root, err := trust.LoadSigstore(read(w.TrustedRoot))
	if err != nil {
		t.Fatal(err)
	}
	by, err := signer.NewKeyless(signer.KeylessOptions{
		Token: func(context.Context) (string, error) { return token, nil }, TrustedRoot: root, SigningConfig: read(w.SigningConfig),
	})
	if err != nil {
		t.Fatal(err)
	}
	return by.Sign(t.Context(), "text/plain", []byte("statement"))
}

// TestWorldsRunSideBySide has two worlds sign at the same time, and neither believe the other's tokens.
func TestWorldsRunSideBySide(t *testing.T) {
	one, two := Run(t, Options{}), Run(t, Options{})
	if one.space.private() && (one.StandIn || two.StandIn) {
		t.Error("a stand-in issues timestamps where a server could")
	}
	for _, w := range []*World{one, two} {
		token, err := w.Token("ann@example.com", TokenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signIn(t, w, token); err != nil {
			t.Error(err)
		}
		other := one
		if w == one {
			other = two
		}
		if _, err := signIn(t, other, token); err == nil {
			t.Error("signed with a token of another world's provider")
		}
	}
}

// TestWorldsShareTheMachinesNetwork is for systems without namespaces: of two worlds one at least has to do without the
// timestamp server, whose port for metrics can't be chosen.
func TestWorldsShareTheMachinesNetwork(t *testing.T) {
	one, two := Run(t, Options{SharedNetwork: true}), Run(t, Options{SharedNetwork: true})
	if !two.StandIn {
		t.Error("two timestamp servers share a port")
	}
	for _, w := range []*World{one, two} {
		token, err := w.Token("ann@example.com", TokenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signIn(t, w, token); err != nil {
			t.Error(err)
		}
	}
}

// alive asks the system whether a process is there.
func alive(id int) error {
	p, err := os.FindProcess(id)
	if err != nil {
		return err
	}
	return p.Signal(syscall.Signal(0))
}

func TestStopLeavesNothing(t *testing.T) {
	w := Run(t, Options{})
	var ids []int
	for _, p := range w.running {
		ids = append(ids, p.cmd.Process.Pid)
		if err := alive(ids[len(ids)-1]); err != nil && !w.StandIn {
			t.Errorf("%s does not run: %v", p.server, err)
		}
	}
	if len(ids) != int(servers) {
		t.Errorf("%d servers run, want %d", len(ids), servers)
	}
	for range 2 {
		if err := w.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids {
		if err := alive(id); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("process %d after Stop: %v", id, err)
		}
	}
	if _, err := os.Stat(w.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder after Stop: %v", err)
	}
}

func TestStartSaysWhyNot(t *testing.T) {
	w := Run(t, Options{})
	tools, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	broken := tools
	broken.paths[Rekor] = "/bin/false"
	if _, err := Start(t.Context(), broken, Options{}); err == nil || !strings.Contains(err.Error(), "rekor ended at once") {
		t.Errorf("with a server that ends at once: %v", err)
	}
	broken.paths[Rekor] = w.Dir + "/nothing"
	if _, err := Start(t.Context(), broken, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with a server that is not there: %v", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(over, tools, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is done: %v", err)
	}
}

// TestTokenEndpointHandsOutTokens signs with a token as a person's login would get one.
func TestTokenEndpointHandsOutTokens(t *testing.T) {
	w := Run(t, Options{})
	ask := func(form url.Values) (int, string) {
		resp, err := http.PostForm(w.Issuer+"/token", form)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Token string `json:"id_token"`
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, answer.Token
	}
	status, token := ask(url.Values{"grant_type": {"password"}, "username": {"ann@example.com"}})
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	if _, err := signIn(t, w, token); err != nil {
		t.Error(err)
	}
	for _, form := range []url.Values{{"grant_type": {"password"}}, {"username": {"ann@example.com"}}, {"grant_type": {"code"}, "username": {"ann@example.com"}}} {
		if status, token := ask(form); status != http.StatusBadRequest || token != "" {
			t.Errorf("%v: status %d", form, status)
		}
	}
}
