// Package program builds the hallmark command for tests that run it as a person does, and installs the programs of other
// projects that it is held against.
package program

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build builds bin/hallmark's program into dir and returns its path. It is built as it is shipped, static and without
// the race detector, whose programs wait for a second before they end.
func Build(dir string) (string, error) { return build(dir, "hallmark", "0", command) }

// BuildKMS builds the program with the key services, as hallmark-kms.
func BuildKMS(dir string) (string, error) {
	return build(dir, "hallmark-kms", "0", command, "-tags=kms")
}

// BuildPKCS11 builds the program with PKCS#11, which takes a C compiler, as hallmark-pkcs11.
func BuildPKCS11(dir string) (string, error) {
	return build(dir, "hallmark-pkcs11", "1", command, "-tags=pkcs11")
}

// BuildSigstoreClient builds the public Sigstore suite's client, which signs and verifies files as every Sigstore tool
// does.
func BuildSigstoreClient(dir string) (string, error) {
	return build(dir, "sigstoreclient", "0", "test/conformance/sigstoreclient")
}

const command = "cmd/hallmark"

func build(dir, name, cgo, folder string, flags ...string) (string, error) {
	path := filepath.Join(dir, name)
	args := append([]string{"build", "-o", path}, append(flags, "github.com/hallmark-project/hallmark/"+folder)...)
	c := exec.Command("go", args...)
	c.Env = append(os.Environ(), "CGO_ENABLED="+cgo, "GOFLAGS="+strings.ReplaceAll(os.Getenv("GOFLAGS"), "-race", ""))
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return path, nil
}

// Install returns a program of another project, a Go package at a version such as example.com/cmd/tool@v1.2.3, which the
// Go toolchain builds into the user's cache folder the first time.
func Install(ctx context.Context, pkg string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("install %s: %w", pkg, err)
	}
	dir := filepath.Join(cache, "hallmark-tools", strings.ReplaceAll(pkg, "/", "_"))
	name, _, _ := strings.Cut(pkg, "@")
	path := filepath.Join(dir, filepath.Base(name))
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	c := exec.CommandContext(ctx, "go", "install", "-trimpath", pkg)
	c.Dir = os.TempDir() // outside the module, so that its own dependencies count
	c.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}
