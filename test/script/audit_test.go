package script

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/test/lab"
)

// TestInterruptedAuditGoesOnWhereItStopped presses Ctrl-C, as it were, while a registry has stopped to answer in the middle of
// an audit. It ends with 130 and says how to go on; then it goes on, and asks for less than an audit that begins anew.
func TestInterruptedAuditGoesOnWhereItStopped(t *testing.T) {
	const models, answered = 12, 9
	dir := t.TempDir()
	proxy := lab.NewProxy(lab.New(lab.Options{Referrers: true}))
	t.Cleanup(proxy.Close)
	host := lab.Serve(t, proxy)
	run := func(args ...string) (code int, stdout, stderr string) {
		t.Helper()
		return ended(t, begin(t, dir, args...))
	}
	must := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := run(args...)
		if code != 0 {
			t.Fatalf("hallmark %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
		}
		return stdout
	}
	must("keygen", "trainer")
	for i := range models {
		name := fmt.Sprint("model", i)
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "weights"), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		must("sign", name, "--private-key", "trainer.key")
		must("push", name, fmt.Sprintf("%s/llm/%s:v1", host, name))
	}
	audit := []string{"audit", host, "--public-key", "trainer.pub", "--workers", "1", "--state", "seen"}
	bundles := func() (n int) {
		for _, r := range proxy.Requests() {
			if r.Method == http.MethodGet && strings.Contains(r.URI, "/blobs/") {
				n++
			}
		}
		return n
	}
	proxy.Set()
	if out := must("audit", host, "--public-key", "trainer.pub", "--state", "other"); !strings.Contains(out, "12 artifacts: 12 yes") {
		t.Fatalf("an audit that nobody interrupts: %s", out)
	}
	all := bundles()

	stalled := make(chan struct{})
	var once sync.Once
	proxy.Set(lab.Rule{Fault: lab.Stall(0, func() { once.Do(func() { close(stalled) }) }).At(http.MethodGet, "/blobs/"), At: answered + 1, On: true})
	c := begin(t, dir, audit...)
	select {
	case <-stalled:
	case <-time.After(time.Minute):
		t.Fatalf("the audit asks for %d bundles and no more", bundles())
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	pressed := time.Now()
	code, stdout, stderr := ended(t, c)
	if took := time.Since(pressed); took > 10*time.Second {
		t.Errorf("it ended after %s", took)
	}
	before := strings.Count("\n"+stdout, "\nyes ")
	if code != 130 || !strings.Contains(stderr, "hallmark: stopped by interrupt") || !strings.Contains(stderr, "hint: go on where it stopped: the same with --resume") {
		t.Errorf("exit code %d, want 130\n%s", code, stderr)
	}
	if before == 0 || before >= models {
		t.Fatalf("%d rows before it was interrupted:\n%s", before, stdout)
	}

	proxy.Set()
	out := must(append(audit, "--resume")...)
	if !strings.Contains(out, "12 artifacts: 12 yes") || strings.Count("\n"+out, "\nyes ") != models {
		t.Errorf("resumed, it says\n%s", out)
	}
	asked := bundles()
	t.Logf("%d of %d decided on before, then %d bundles of %d asked for", before, models, asked, all)
	if asked > all-before {
		t.Errorf("%d of %d were decided on before it was interrupted, and it asks for %d bundles again, of %d", before, models, asked, all)
	}
}

// begin starts the program with the arguments, in a directory.
func begin(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(binary, args...)
	c.Dir, c.Stdout, c.Stderr = dir, new(bytes.Buffer), new(bytes.Buffer)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	return c
}

// ended waits for the end of what begin started, for a minute.
func ended(t *testing.T, c *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	late := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
	defer late.Stop()
	var exit *exec.ExitError
	if err := c.Wait(); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return code, c.Stdout.(*bytes.Buffer).String(), c.Stderr.(*bytes.Buffer).String()
}
