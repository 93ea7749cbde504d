// Package distribution runs the registry that most others are made of, on loopback. It has no referrers API.
//
// Get its binary with program.Install([Package]) and [Start] it.
package distribution

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Package is what to install.
const Package = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2"

const (
	startUp = time.Minute           // until it answers
	look    = 20 * time.Millisecond // between two tries to see whether it does
	words   = 2000                  // of what it said, in an error
)

// Server is a registry that runs.
type Server struct {
	Host string // HOST:PORT
	// Storage is the folder where it keeps everything: the blob with SHA-256 HEX is its file
	// blobs/sha256/HE/HEX/data, and the repository NAME has it by repositories/NAME/_layers/sha256/HEX/link.
	Storage string

	process *exec.Cmd
}

// Start runs the binary with its files in dir, until Close or the end of ctx.
func Start(ctx context.Context, binary, dir string) (*Server, error) {
	host, err := freePort()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "config.yml")
	content := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {addr: %q}\n", dir, host)
	if err := os.WriteFile(config, []byte(content), 0o644); err != nil {
		return nil, err
	}
	said, err := os.Create(filepath.Join(dir, "said")) // every blob that is not there yet is an error to it
	if err != nil {
		return nil, err
	}
	defer said.Close()
	s := &Server{Host: host, Storage: filepath.Join(dir, "docker", "registry", "v2"), process: exec.CommandContext(ctx, binary, "serve", config)}
	s.process.Env = []string{"OTEL_TRACES_EXPORTER=none"}
	s.process.Stderr = said
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	if err := s.answers(ctx); err != nil {
		heard, _ := os.ReadFile(said.Name())
		return nil, errors.Join(fmt.Errorf("start distribution: %w: %.*q", err, words, heard), s.Close())
	}
	return s, nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// answers waits until the registry does.
func (s *Server) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startUp, errors.New("it does not answer"))
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Host+"/v2/", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(r); err == nil {
			return resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// Empty takes away everything that the registry holds. Nobody may be using it.
func (s *Server) Empty() error { return os.RemoveAll(s.Storage) }

// Close ends it.
func (s *Server) Close() error {
	if err := s.process.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = s.process.Wait() // it says that it was killed
	return nil
}
