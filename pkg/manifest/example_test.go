package manifest_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// A directory is named by its files alone, and what a registry serves is held to that name byte for byte.
func ExampleBuild() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for name, data := range map[string]string{"config.json": "{}\n", "weights.bin": "w"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	m, err := manifest.Build(context.Background(), dir, manifest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	local, err := m.OCI()
	if err != nil {
		log.Fatal(err)
	}
	served, err := manifest.ParseCanonical(local.Manifest)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range m.Files {
		fmt.Println(f.Name, f.Size, f.SHA256)
	}
	fmt.Println(served.ID == local.ID)
	// Output:
	// config.json 3 sha256:ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356
	// weights.bin 1 sha256:50e721e49c013f00c62cf59f2163542a9d8df02464efeb615d31051b0fddc326
	// true
}
