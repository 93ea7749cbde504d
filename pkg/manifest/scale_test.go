package manifest_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// smallFiles writes n files of size bytes, a thousand to a folder, and returns their directory and names in order.
func smallFiles(t testing.TB, n, size int) (dir string, names []string) {
	t.Helper()
	dir = t.TempDir()
	data := make([]byte, size)
	for i := range n {
		name := fmt.Sprintf("%04d/%08d.txt", i/1000, i)
		if i%1000 == 0 {
			must(t, os.Mkdir(filepath.Join(dir, name[:4]), 0o755))
		}
		copy(data, name)
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
		names = append(names, name)
	}
	return dir, names
}

// packedID is the artifact ID of small files in one pack, written from the page with the standard library alone.
func packedID(t *testing.T, names []string, size int) string {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	data := make([]byte, size)
	for _, name := range names {
		copy(data, name)
		must(t, w.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: name, Size: int64(size), Mode: 0o644}))
		_, err := w.Write(data)
		must(t, err)
	}
	must(t, w.Close())
	digest := func(data string) string {
		sum := sha256.Sum256([]byte(data))
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	layer := digest(archive.String())
	config := `{"descriptor":{},"modelfs":{"type":"layers","diffIds":["` + layer + `"]},"config":{}}`
	return digest(strings.NewReplacer("'", `"`, "CONFIG", digest(config), "LENGTH", fmt.Sprint(len(config)), "LAYER", layer, "SIZE", fmt.Sprint(archive.Len())).Replace(
		`{'schemaVersion':2,'mediaType':'application/vnd.oci.image.manifest.v1+json','artifactType':'application/vnd.cncf.model.manifest.v1+json',` +
			`'config':{'mediaType':'application/vnd.cncf.model.config.v1+json','digest':'CONFIG','size':LENGTH},` +
			`'layers':[{'mediaType':'application/vnd.cncf.model.dataset.v1.tar','digest':'LAYER','size':SIZE,` +
			`'annotations':{'org.cncf.model.filepath':'pack-00001.tar','org.opencontainers.image.title':'pack-00001.tar'}}]}`))
}

// TestHundredThousandFiles builds their ID within 250 MiB, all that the program takes from the system counted. It does so
// in a process of its own: what the tests before it took would count too.
func TestHundredThousandFiles(t *testing.T) {
	const folder = "HALLMARK_TEST_HUNDRED_THOUSAND" // where that process finds the files
	if dir := os.Getenv(folder); dir != "" {
		id, used := buildMeasured(t, dir)
		fmt.Printf("built %s %d\n", id, used)
		return
	}
	if os.Getenv("HALLMARK_E2E") == "" {
		t.Skip("writes 100,000 files: set HALLMARK_E2E=1")
	}
	const files, size = 100_000, 64
	dir, names := smallFiles(t, files, size)
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHundredThousandFiles$")
	c.Env = append(os.Environ(), folder+"="+dir)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got string
	var used uint64 // bytes
	if _, err := fmt.Sscanf(string(out), "built %s %d\n", &got, &used); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	if want := packedID(t, names, size); got != want {
		t.Errorf("ID %s, want %s", got, want)
	}
	if used > 250<<20 {
		t.Errorf("%d MiB of memory, want 250 at most", used>>20)
	}
	t.Logf("%d MiB of memory", used>>20)
}

// buildMeasured returns the ID of what is at dir, and how many bytes of memory this process has had at most.
func buildMeasured(t *testing.T, dir string) (id string, used uint64) {
	t.Helper()
	id, err := build(t, dir, manifest.Options{}).ID()
	must(t, err)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory) // Sys never shrinks: what was given back is in it
	return id, memory.Sys
}

func BenchmarkList20000(b *testing.B) {
	dir, _ := smallFiles(b, 20_000, 64)
	for b.Loop() {
		l, err := manifest.List(b.Context(), dir, manifest.Options{})
		must(b, err)
		if len(l.Entries) != 20_000 {
			b.Fatal(len(l.Entries))
		}
		must(b, l.Close())
	}
}

// BenchmarkBuild20000 compares files that are packed for their ID (the manifest would be too long) with what the
// digests alone cost.
func BenchmarkBuild20000(b *testing.B) {
	for _, size := range []int{1 << 10, 100_000} {
		dir, _ := smallFiles(b, 20_000, size)
		for _, c := range []struct {
			name string
			o    manifest.Options
		}{
			{"sha256", manifest.Options{}},
			{"sha256-no-id", manifest.Options{NoID: true}},
			{"blake3", manifest.Options{Algorithm: hashing.BLAKE3}},
			{"sha256-one-worker", manifest.Options{Workers: 1}},
		} {
			b.Run(fmt.Sprintf("%d/%s", size, c.name), func(b *testing.B) {
				b.SetBytes(int64(size) * 20_000)
				for b.Loop() {
					if m := build(b, dir, c.o); len(m.Files) != 20_000 {
						b.Fatal(len(m.Files))
					}
				}
			})
		}
	}
}

func BenchmarkParseCanonical(b *testing.B) {
	var files []manifest.File
	for i := range 12_000 {
		files = append(files, file(fmt.Sprintf("data/%05d.txt", i), fmt.Sprint(i)))
	}
	raw := oci(b, files...).Manifest
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := manifest.ParseCanonical(raw); err != nil {
			b.Fatal(err)
		}
	}
}
