package registry

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/test/lab"
)

func TestPullDoesNotTrustWhatLiesInPartial(t *testing.T) {
	flip := func(t *testing.T, at string) {
		t.Helper()
		f, err := os.OpenFile(at, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var b [1]byte
		if _, err := f.ReadAt(b[:], 1000); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		if _, err := f.WriteAt(b[:], 1000); err != nil {
			t.Fatal(err)
		}
	}
	write := func(t *testing.T, at, content string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, spoil := range map[string]func(t *testing.T, partial string){
		"nothing":     func(*testing.T, string) {},
		"wrong bytes": func(t *testing.T, p string) { eachRegular(t, p, func(at string) { flip(t, at) }) },
		"too long": func(t *testing.T, p string) {
			eachRegular(t, p, func(at string) {
				if err := os.Truncate(at, 1<<30); err != nil {
					t.Fatal(err)
				}
			})
		},
		"journal that lies": func(t *testing.T, p string) {
			eachRegular(t, filepath.Join(p, partialLayers), func(at string) {
				write(t, trimJournal(at)+journalSuffix, "0 "+strconv.Itoa(streamed)+"\n")
				if err := os.Truncate(trimJournal(at), streamed); err != nil {
					t.Fatal(err)
				}
			})
		},
		"journal of nonsense": func(t *testing.T, p string) {
			eachRegular(t, filepath.Join(p, partialLayers), func(at string) { write(t, trimJournal(at)+journalSuffix, "-5 7\nx\n") })
		},
		"other things": func(t *testing.T, p string) {
			write(t, filepath.Join(p, partialFiles, "model.sig"), "forged")
			write(t, filepath.Join(p, partialFiles, "evil", "x.py"), "evil")
			write(t, filepath.Join(p, partialLayers, strings.Repeat("0", 64)), "other")
			if err := errors.Join(os.Symlink("/etc", filepath.Join(p, partialFiles, "link")), os.MkdirAll(filepath.Join(p, partialFiles, "a.bin", "x"), 0o755)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, ref, c, dir := behindLine(t, lab.Options{}, map[string]string{"a.bin": noise(1, streamed), "b.bin": noise(2, 1<<20), "c.json": "{}"})
			parent := t.TempDir()
			target := filepath.Join(parent, "out")
			_ = interrupt(t, ref, c, target, nil)
			spoil(t, target+partialSuffix)
			if err := open(t, ref, Options{}).Pull(context.Background(), c, target, PullOptions{}); err != nil {
				t.Fatal(err)
			}
			mustEqualTree(t, dir, target)
			nothingLeft(t, parent, "out")
		})
	}
}

// eachRegular calls see for every layer and finished file of at least 1,001 bytes below a directory.
func eachRegular(t *testing.T, dir string, see func(at string)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(at string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() <= 1000 {
			return err
		}
		n++
		see(at)
		return nil
	})
	if err != nil || n == 0 {
		t.Fatalf("%d files seen (%v)", n, err)
	}
}

func TestPullTakesNothingFromAnotherArtifact(t *testing.T) {
	_, ref, c, _ := behindLine(t, lab.Options{}, map[string]string{"a.bin": noise(1, streamed), "only/here.bin": noise(2, 1<<20)})
	other := model(t, map[string]string{"a.bin": noise(3, streamed), "b.bin": noise(4, 100)})
	d, _ := pushed(t, open(t, ref, Options{}), other)
	parent := t.TempDir()
	target := filepath.Join(parent, "out")
	if err := interrupt(t, ref, c, target, nil); err == nil {
		t.Fatal("not interrupted")
	}
	if err := open(t, ref, Options{}).Pull(context.Background(), d, target, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	mustEqualTree(t, other, target)
	nothingLeft(t, parent, "out")
}

func TestPullLeavesForeignPartialDirectoriesAlone(t *testing.T) {
	_, ref, c, _ := behindLine(t, lab.Options{}, map[string]string{"a.bin": "a"})
	for name, make := range map[string]func(at string) error{
		"somebody's files": func(at string) error {
			return errors.Join(os.Mkdir(at, 0o755), os.WriteFile(filepath.Join(at, "thesis.txt"), []byte("mine"), 0o600))
		},
		"file":               func(at string) error { return os.WriteFile(at, []byte("mine"), 0o600) },
		"link":               func(at string) error { return errors.Join(os.Mkdir(at+"-x", 0o755), os.Symlink(at+"-x", at)) },
		"writable by others": func(at string) error { return errors.Join(os.Mkdir(at, 0o755), os.Chmod(at, 0o777)) },
	} {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "out")
			if err := make(target + partialSuffix); err != nil {
				t.Fatal(err)
			}
			if err := open(t, ref, Options{}).Pull(context.Background(), c, target, PullOptions{}); err == nil {
				t.Error("pulled")
			}
			if _, err := os.Lstat(target + partialSuffix); err != nil {
				t.Errorf("it is gone: %v", err)
			}
			if err := os.RemoveAll(target + partialSuffix); err != nil {
				t.Fatal(err)
			}
			if err := open(t, ref, Options{}).Pull(context.Background(), c, target, PullOptions{}); err != nil {
				t.Errorf("with nothing in the way: %v", err)
			}
		})
	}
}

func TestTwoPullsToOneDirectory(t *testing.T) {
	l, ref, c, dir := behindLine(t, lab.Options{}, map[string]string{"a.bin": noise(1, streamed)})
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	inner := l.inner
	l.inner = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			once.Do(func() { close(reached); <-release })
		}
		inner.ServeHTTP(w, r)
	})
	target := filepath.Join(t.TempDir(), "out")
	first := make(chan error)
	go func() { first <- open(t, ref, Options{}).Pull(context.Background(), c, target, PullOptions{}) }()
	<-reached
	if err := open(t, ref, Options{Timeout: time.Second}).Pull(context.Background(), c, target, PullOptions{}); !errors.Is(err, ErrBusy) {
		t.Errorf("the second pull ended with %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	mustEqualTree(t, dir, target)
	nothingLeft(t, filepath.Dir(target), "out")
}
