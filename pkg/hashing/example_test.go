package hashing_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// The digests of two files, each of its own group, so that they are hashed in parallel.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	var groups [][]hashing.Job
	for _, text := range []string{"abc", "hallmark"} {
		path := filepath.Join(dir, text)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			fmt.Println(err)
			return
		}
		groups = append(groups, []hashing.Job{{
			Name: text,
			Size: int64(len(text)),
			Open: func() (*os.File, error) { return os.Open(path) },
		}})
	}

	results, err := hashing.Hasher{}.Files(context.Background(), groups)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, r := range results {
		fmt.Println(groups[i][0].Name, r[0].SHA256)
	}
	// Output:
	// abc sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
	// hallmark sha256:84ee60836bf6b77d507051a6de4fa617b694f4412eea37e7744044c995a9a79e
}
