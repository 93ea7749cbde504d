package sigstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tsaPath is where the timestamp authority issues timestamps.
const tsaPath = "/api/v1/timestamp"

// health is where each server says that it is well.
var health = [servers]string{Fulcio: "/healthz", TSA: "/ping", Rekor: "/healthz"}

// password is for key files that have none: Fulcio insists on being given one.
const password = "unused"

// startServers writes what the servers read, starts all of them, and returns their ports once they are well.
func (w *World) startServers(ctx context.Context, t Tools, o Options) ([servers]int, error) {
	var at [servers]int
	ports, err := w.space.freePorts(7)
	if err != nil {
		return at, err
	}
	at = [servers]int{Fulcio: ports[0], TSA: ports[1], Rekor: ports[2]}
	ct := ""
	if !o.WithoutCTLog {
		l, err := w.space.listen(0)
		if err != nil {
			return at, err
		}
		w.serve(l, w.ctlog)
		ct = "http://" + l.Addr().String()
	}
	if err := w.writeServerFiles(); err != nil {
		return at, err
	}
	file := func(name string) string { return filepath.Join(w.Dir, name) }
	number := strconv.Itoa
	args := [servers][]string{
		Fulcio: {"serve", "--host=127.0.0.1", "--port=" + number(at[Fulcio]), "--grpc-host=127.0.0.1", "--grpc-port=" + number(ports[6]),
			"--legacy-unix-domain-socket=fulcio.sock", "--metrics-port=" + number(ports[3]), "--ca=fileca", "--fileca-cert=" + file("fulcio.pem"), "--fileca-key=" + file("fulcio.key"),
			"--fileca-key-passwd=" + password, "--fileca-watch=false", "--config-path=" + file("fulcio.json"), "--ct-log-url=" + ct},
		TSA: {"serve", "--host=127.0.0.1", "--port=" + number(at[TSA]), "--disable-ntp-monitoring", "--timestamp-signer=file",
			"--file-signer-key-path=" + file("tsa.key"), "--certificate-chain-path=" + file("tsa.pem")},
		Rekor: {"serve", "--http-address=127.0.0.1", "--http-port=" + number(at[Rekor]), "--grpc-address=127.0.0.1", "--grpc-port=" + number(ports[4]),
			"--http-metrics-port=" + number(ports[5]), "--hostname=" + origin, "--storage-dir=" + file("rekor"), "--signer-filepath=" + file("rekor.key"),
			"--batch-max-age=10ms", "--checkpoint-interval=100ms"},
	}
	for s, a := range args {
		if err := w.startProcess(Server(s), t.paths[s], a); err != nil {
			return at, err
		}
	}
	for s := range args {
		err := w.awaitHealth(ctx, Server(s), at[s])
		if Server(s) == TSA && errors.Is(err, errTaken) {
			at[s], err = w.startStandIn()
		}
		if err != nil {
			return at, err
		}
	}
	return at, nil
}

// writeServerFiles writes the servers' keys, chains and configuration.
func (w *World) writeServerFiles() error {
	file := func(name string) string { return filepath.Join(w.Dir, name) }
	config, err := json.Marshal(map[string]any{"OIDCIssuers": map[string]any{
		w.Issuer: map[string]string{"IssuerURL": w.Issuer, "ClientID": Audience, "Type": "email"},
	}})
	return errors.Join(err,
		os.MkdirAll(file("rekor"), 0o755),
		os.WriteFile(file("fulcio.json"), config, 0o644),
		writeChain(file("fulcio.pem"), w.pki.fulcio.cert, w.pki.root.cert),
		writeChain(file("tsa.pem"), w.pki.tsa.cert, w.pki.tsaCA.cert, w.pki.root.cert),
		writeKey(file("fulcio.key"), w.pki.fulcio.key),
		writeKey(file("tsa.key"), w.pki.tsa.key),
		writeKey(file("rekor.key"), w.pki.rekor))
}

// process is a running server.
type process struct {
	server Server
	cmd    *exec.Cmd
	ended  chan struct{} // closed once it is over
	said   string        // path of what it wrote to stdout and stderr
}

// startProcess starts a server in the space.
func (w *World) startProcess(s Server, program string, args []string) error {
	p := &process{server: s, said: filepath.Join(w.Dir, s.String()+".log"), ended: make(chan struct{})}
	out, err := os.Create(p.said)
	if err != nil {
		return err
	}
	defer out.Close() // the process has its own
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = w.Dir, out, out
	p.cmd.Env = []string{"HOME=" + w.Dir, "PATH=" + os.Getenv("PATH")} // nothing of the caller's reaches their configuration
	w.space.leash(p.cmd)
	w.space.do(func() { err = p.cmd.Start() })
	if err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	w.running = append(w.running, p)
	return nil
}

// stop ends the process, and returns once it has.
func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

const (
	pollEvery = 20 * time.Millisecond // of a server that starts
	maxSaid   = 2000                  // bytes of a server's last words that an error shows
)

// errTaken is returned for a server that ended because somebody else has its port.
var errTaken = errors.New("a port is taken")

// awaitHealth returns once the server answers that it is well.
func (w *World) awaitHealth(ctx context.Context, s Server, port int) error {
	p := w.running[s]
	url := fmt.Sprintf("http://127.0.0.1:%d%s", port, health[s])
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !w.isWell(ctx, url) {
		select {
		case <-p.ended:
			said := lastWords(p.said)
			if strings.Contains(said, "address already in use") {
				return fmt.Errorf("%s: %w: %s", s, errTaken, said)
			}
			return fmt.Errorf("%s ended at once: %s", s, said)
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer at %s: %w: %s", s, url, context.Cause(ctx), lastWords(p.said))
		case <-tick.C:
		}
	}
	return nil
}

func (w *World) isWell(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := w.dial.RoundTrip(r)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxSaid))
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// lastWords is the end of what a server said.
func lastWords(said string) string {
	text, err := os.ReadFile(said)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text[max(0, len(text)-maxSaid):]))
}
