package attack

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// large is long enough that hashing it reports progress many times before its end.
var large = strings.Repeat("0123456789abcdef", 1<<19) // 8 MiB

func changing() map[string]string {
	return map[string]string{"a.bin": large, "b.bin": large[1:] + "x", "sub/c.bin": "small"}
}

// changes are things that happen to an artifact at dir while it is being hashed. Each is done to a.bin or beside it.
var changes = map[string]func(dir string) error{
	"appended to": func(dir string) error {
		return edited(dir, os.O_APPEND, func(f *os.File) error { _, err := f.WriteString("x"); return err })
	},
	"cut short":             func(dir string) error { return os.Truncate(filepath.Join(dir, "a.bin"), 1000) },
	"emptied":               func(dir string) error { return os.Truncate(filepath.Join(dir, "a.bin"), 0) },
	"made longer by a hole": func(dir string) error { return os.Truncate(filepath.Join(dir, "a.bin"), 20<<30) },
	"written to":            func(dir string) error { return overwrite(filepath.Join(dir, "a.bin")) },
	"written to, and its time set back": func(dir string) error {
		path := filepath.Join(dir, "a.bin")
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return errors.Join(overwrite(path), os.Chtimes(path, info.ModTime(), info.ModTime()))
	},
	"written to and back": func(dir string) error {
		path := filepath.Join(dir, "a.bin")
		return errors.Join(overwrite(path), edited(dir, 0, func(f *os.File) error { _, err := f.WriteAt([]byte(large[:1]), 0); return err }))
	},
	"replaced":                func(dir string) error { return replaced(dir, large[2:]+"xy") },
	"replaced by a twin":      func(dir string) error { return replaced(dir, large) },
	"removed":                 func(dir string) error { return os.Remove(filepath.Join(dir, "a.bin")) },
	"removed with its folder": func(dir string) error { return os.RemoveAll(filepath.Join(dir, "sub")) },
	"renamed":                 func(dir string) error { return os.Rename(filepath.Join(dir, "a.bin"), filepath.Join(dir, "z.bin")) },
	"swapped with another": func(dir string) error {
		a, b, aside := filepath.Join(dir, "a.bin"), filepath.Join(dir, "b.bin"), filepath.Join(dir, "aside")
		return errors.Join(os.Rename(a, aside), os.Rename(b, a), os.Rename(aside, b))
	},
	"replaced by a link": func(dir string) error {
		path := filepath.Join(dir, "a.bin")
		return errors.Join(os.Rename(path, filepath.Join(dir, "../outside.bin")), os.Symlink("../outside.bin", path))
	},
	"replaced by a link inside": func(dir string) error {
		path := filepath.Join(dir, "a.bin")
		return errors.Join(os.Remove(path), os.Symlink("b.bin", path))
	},
	"replaced by a pipe": func(dir string) error {
		path := filepath.Join(dir, "a.bin")
		return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o644))
	},
	"replaced by a folder": func(dir string) error {
		path := filepath.Join(dir, "a.bin")
		return errors.Join(os.Remove(path), os.Mkdir(path, 0o755))
	},
	"its folder replaced by a link": func(dir string) error {
		sub := filepath.Join(dir, "sub")
		return errors.Join(os.Rename(sub, filepath.Join(dir, "../elsewhere")), os.Symlink("../elsewhere", sub))
	},
	"a file added":            func(dir string) error { return os.WriteFile(filepath.Join(dir, "evil.py"), []byte("import os"), 0o644) },
	"a file added further in": func(dir string) error { return os.WriteFile(filepath.Join(dir, "sub/evil.py"), nil, 0o644) },
	"a link added":            func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "link")) },
	"a pipe added":            func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644) },
	"the artifact removed":    os.RemoveAll,
	"the artifact replaced": func(dir string) error {
		return errors.Join(os.Rename(dir, dir+"-aside"), os.CopyFS(dir, os.DirFS(dir+"-aside")))
	},
	"the artifact replaced by a link": func(dir string) error {
		return errors.Join(os.Rename(dir, dir+"-aside"), os.CopyFS(dir+"-2", os.DirFS(dir+"-aside")), os.Symlink(dir+"-2", dir))
	},
	"a folder added": func(dir string) error {
		return errors.Join(os.Mkdir(filepath.Join(dir, "new"), 0o755), os.WriteFile(filepath.Join(dir, "new/evil.py"), nil, 0o644))
	},
}

func edited(dir string, flags int, edit func(*os.File) error) error {
	f, err := os.OpenFile(filepath.Join(dir, "a.bin"), os.O_WRONLY|flags, 0)
	if err != nil {
		return err
	}
	return errors.Join(edit(f), f.Close())
}

// overwrite changes one byte in the middle, in place.
func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("!"), 1<<20)
	return errors.Join(err, f.Close())
}

func replaced(dir, content string) error {
	path := filepath.Join(dir, "../new.bin")
	return errors.Join(os.WriteFile(path, []byte(content), 0o644), os.Rename(path, filepath.Join(dir, "a.bin")))
}

// age sets every file's times to long ago, and waits for the file system's clock to go on from there: what is changed
// after it can be told from what was there, however coarse that clock is.
func age(t *testing.T, dir string) {
	t.Helper()
	long := present.Add(-365 * 24 * time.Hour)
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, long, long)
	})
	if err != nil {
		t.Fatal(err)
	}
	probe := filepath.Join(t.TempDir(), "clock")
	write(t, probe, "")
	info, err := os.Stat(probe)
	if err != nil {
		t.Fatal(err)
	}
	for started := info.ModTime(); info.ModTime().Sub(started) < 10*time.Millisecond; {
		write(t, probe, "tick")
		if info, err = os.Stat(probe); err != nil {
			t.Fatal(err)
		}
	}
}

// TestChangeBetweenListingAndHashingIsSeen changes the artifact between the two.
func TestChangeBetweenListingAndHashingIsSeen(t *testing.T) {
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, changing())
			age(t, w.dir)
			hash := func(meanwhile func(string) error) error {
				l, err := manifest.List(context.Background(), w.dir, manifest.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				if err := meanwhile(w.dir); err != nil {
					t.Fatal(err)
				}
				_, err = l.Hash(context.Background(), manifest.HashOptions{})
				return err
			}
			if err := hash(func(string) error { return nil }); err != nil {
				t.Fatalf("without a change: %v", err)
			}
			var changed *manifest.ChangedError
			if err := hash(change); !errors.Is(err, hashing.ErrChanged) || !errors.As(err, &changed) {
				t.Errorf("the change was not seen: %v", err)
			}
		})
	}
}

// TestChangeWhileHashingIsSeen changes the artifact when some of it was read, by the callback that tells of it, and at
// the very end, when all of it was.
func TestChangeWhileHashingIsSeen(t *testing.T) {
	for name, change := range changes {
		for when, from := range map[string]func(done, total int64) bool{
			"at the beginning": func(int64, int64) bool { return true },
			"at the end":       func(done, total int64) bool { return done == total },
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := newWorld(t, changing())
				b := w.sign(t, manifest.Options{})
				age(t, w.dir)
				options := chain.FilesOptions{Progress: func(int64, int64) {}}
				mustHold(t, w.verify(t, options, b))
				var once sync.Once
				var failed error
				options.Progress = func(done, total int64) {
					if from(done, total) {
						once.Do(func() { failed = change(w.dir) })
					}
				}
				d := w.verify(t, options, b)
				if failed != nil {
					t.Fatal(failed)
				}
				mustRefuse(t, d, policy.Changed)
			})
		}
	}
}

// TestLinkThatChangesWhileHashingIsSeen follows links, and turns one to another file of the same bytes, out of the artifact,
// or into the file itself.
func TestLinkThatChangesWhileHashingIsSeen(t *testing.T) {
	turn := func(to string) func(dir string) error {
		return func(dir string) error {
			link := filepath.Join(dir, "sub/latest.bin")
			return errors.Join(os.Remove(link), os.Symlink(to, link))
		}
	}
	for name, change := range map[string]func(dir string) error{
		"to a twin":      turn("../b.bin"),
		"out":            turn("../../outside.bin"),
		"nowhere":        turn("nowhere"),
		"to itself":      turn("latest.bin"),
		"by another way": turn("../sub/../a.bin"),
		"into its target": func(dir string) error {
			link := filepath.Join(dir, "sub/latest.bin")
			return errors.Join(os.Remove(link), os.WriteFile(link, []byte(large), 0o644))
		},
		"its folder": func(dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, "sub"), filepath.Join(dir, "sub2")), os.Symlink("sub2", filepath.Join(dir, "sub")))
		},
		"its target": func(dir string) error { return overwrite(filepath.Join(dir, "a.bin")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"a.bin": large, "b.bin": large, "sub/c.bin": "small", "../outside.bin": large})
			if err := os.Symlink("../a.bin", filepath.Join(w.dir, "sub/latest.bin")); err != nil {
				t.Fatal(err)
			}
			b := w.sign(t, manifest.Options{AllowSymlinks: true})
			age(t, w.dir)
			mustHold(t, w.verify(t, chain.FilesOptions{}, b))
			var once sync.Once
			var failed error
			options := chain.FilesOptions{Progress: func(int64, int64) { once.Do(func() { failed = change(w.dir) }) }}
			d := w.verify(t, options, b)
			if failed != nil {
				t.Fatal(failed)
			}
			mustRefuse(t, d, policy.Changed)
		})
	}
}

// TestEvidenceWrittenWhileHashingIsNoChange: another process may sign what is being verified.
func TestEvidenceWrittenWhileHashingIsNoChange(t *testing.T) {
	w := newWorld(t, changing())
	b := w.sign(t, manifest.Options{})
	age(t, w.dir)
	mustHold(t, w.verify(t, chain.FilesOptions{}, b))
	var once sync.Once
	add := func(name string) chain.FilesOptions {
		once = sync.Once{}
		return chain.FilesOptions{Progress: func(int64, int64) {
			once.Do(func() { _ = os.WriteFile(filepath.Join(w.dir, name), b, 0o644) })
		}}
	}
	mustHold(t, w.verify(t, add("model.sig"), b))
	mustHold(t, w.verify(t, add("claims.sig"), b))
	mustRefuse(t, w.verify(t, add("sub/model.sig"), b), policy.Changed)
}
