package sigstore

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

// modules are the servers at the versions that are tested against, in the order of Server. They are installed, never
// required: their dependencies are nobody else's.
var modules = [servers]string{
	Fulcio: "github.com/sigstore/fulcio@v1.8.8",
	Rekor:  "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix@v2.3.0",
	TSA:    "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server@v2.1.3",
}

// Tools are the servers' programs. Only Install makes ones that work.
type Tools struct {
	paths [servers]string
}

// Install returns the servers' programs, built by the Go toolchain into the user's cache folder where they are not there
// yet: that takes some minutes and needs the Go module proxy. It errs where the folder, the toolchain or a module can't
// be had; the error then ends with what the toolchain said.
func Install(ctx context.Context) (Tools, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return Tools{}, fmt.Errorf("install sigstore's servers: %w", err)
	}
	var t Tools
	for s, module := range modules {
		dir := filepath.Join(cache, "hallmark-tools", strings.ReplaceAll(module, "/", "_"))
		name, _, _ := strings.Cut(module, "@")
		t.paths[s] = filepath.Join(dir, filepath.Base(name))
		if _, err := os.Stat(t.paths[s]); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return Tools{}, fmt.Errorf("install %s: %w", module, err)
		}
		c := exec.CommandContext(ctx, "go", "install", "-trimpath", module)
		c.Dir = os.TempDir() // outside any module, so that its own dependencies count
		c.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := c.CombinedOutput(); err != nil {
			return Tools{}, fmt.Errorf("install %s: %w\n%s", module, err, out)
		}
	}
	return t, nil
}
