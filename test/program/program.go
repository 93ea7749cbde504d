// Package program builds the hallmark command for tests that run it as a person does.
package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build builds bin/hallmark's program into dir and returns its path. It is built as it is shipped, static and without
// the race detector, whose programs wait for a second before they end.
func Build(dir string) (string, error) {
	path := filepath.Join(dir, "hallmark")
	c := exec.Command("go", "build", "-o", path, "github.com/hallmark-project/hallmark/cmd/hallmark")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+strings.ReplaceAll(os.Getenv("GOFLAGS"), "-race", ""))
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build hallmark: %w\n%s", err, out)
	}
	return path, nil
}
