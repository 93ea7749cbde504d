// Package modelsigning installs the reference implementation of OpenSSF Model Signing, the Python package
// model-signing, and runs it: for tests that hold its bundles and ours against each other, and for the benchmark.
//
// Start with [Install], then [Client.CLI]. It writes a virtual environment of Python into the user's cache folder and
// nothing else; every run finds it there again.
package modelsigning

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Version is the release that Install installs.
const Version = "1.1.1"

// packages are what pip is asked for. The release imports pyOpenSSL without asking for it: older sigstore packages
// brought it along, newer ones don't.
var packages = []string{"model-signing==" + Version, "pyOpenSSL"}

// Client is an installed reference implementation. Only Install makes one that works. It may be used by several
// goroutines.
type Client struct {
	python string
}

// Install returns the reference implementation, installed with python3 and pip if the user's cache folder has none yet:
// that takes about half a minute and needs the Python package index. It is an error if Python, its venv module or the
// index can't be had; the error ends with what the tool itself said.
//
// Two that install at the same time don't disturb each other: each builds a folder of its own, and the first to finish
// gives it the name.
func Install(ctx context.Context) (*Client, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("install model-signing: %w", err)
	}
	return install(ctx, filepath.Join(cache, "hallmark-interop"), "python3", packages)
}

func install(ctx context.Context, cache, python string, packages []string) (*Client, error) {
	home := filepath.Join(cache, "model-signing-"+Version)
	client := &Client{python: interpreter(home)}
	if _, err := os.Stat(home); err == nil {
		return client, client.check(ctx)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("install model-signing: %w", err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("install model-signing: %w", err)
	}
	// A half-finished environment never has the name that a later run believes.
	half, err := os.MkdirTemp(cache, "installing-")
	if err != nil {
		return nil, fmt.Errorf("install model-signing: %w", err)
	}
	defer os.RemoveAll(half)
	pip := append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
		"--retries", "2", "--timeout", "15"}, packages...)
	for _, c := range []*exec.Cmd{
		exec.CommandContext(ctx, python, "-m", "venv", half),
		exec.CommandContext(ctx, interpreter(half), pip...),
	} {
		if err := run(c); err != nil {
			return nil, fmt.Errorf("install model-signing: %w", err)
		}
	}
	if err := (&Client{python: interpreter(half)}).check(ctx); err != nil {
		return nil, fmt.Errorf("install model-signing: %w", err)
	}
	// An environment may be moved as long as its scripts aren't used: they, and only they, carry its old path.
	if err := os.Rename(half, home); err != nil {
		if _, missing := os.Stat(home); missing != nil {
			return nil, fmt.Errorf("install model-signing: %w", err)
		}
	}
	return client, nil
}

// check tells an environment that works from one that a new Python or a deleted package broke.
func (c *Client) check(ctx context.Context) error {
	if err := run(c.CLI(ctx, "--version")); err != nil {
		return fmt.Errorf("model-signing in %s: %w", filepath.Dir(filepath.Dir(c.python)), err)
	}
	return nil
}

// CLI returns the command line of model_signing with args, not started yet. Its flags are written with underscores:
// sign key --private_key.
func (c *Client) CLI(ctx context.Context, args ...string) *exec.Cmd {
	return c.command(ctx, append([]string{"-m", "model_signing"}, args...))
}

// Sigstore returns the command line of sigstore-python, which model_signing brings along, with args, not started yet.
func (c *Client) Sigstore(ctx context.Context, args ...string) *exec.Cmd {
	return c.command(ctx, append([]string{"-m", "sigstore"}, args...))
}

// Script returns a Python program that may import model_signing, not started yet; args are its sys.argv[1:].
func (c *Client) Script(ctx context.Context, program string, args ...string) *exec.Cmd {
	return c.command(ctx, append([]string{"-c", program}, args...))
}

// command runs Python isolated: neither the working directory, which is often a model with files of anybody's names,
// nor the user's own packages are on its path.
func (c *Client) command(ctx context.Context, args []string) *exec.Cmd {
	return exec.CommandContext(ctx, c.python, append([]string{"-I"}, args...)...)
}

func interpreter(home string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(home, "Scripts", "python.exe")
	}
	return filepath.Join(home, "bin", "python")
}

// maxSaid is how many bytes of a failed tool's output an error carries: its end, where Python says what went wrong.
const maxSaid = 600

func run(c *exec.Cmd) error {
	out, err := c.CombinedOutput()
	if err == nil {
		return nil
	}
	said := bytes.TrimSpace(out)
	if len(said) > maxSaid {
		said = said[len(said)-maxSaid:]
	}
	return fmt.Errorf("%s: %w: %q", filepath.Base(c.Path), err, said)
}
