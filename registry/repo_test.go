package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

func TestRepoGivesBackWhatWasPushed(t *testing.T) {
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			ctx := context.Background()
			r := open(t, p.ref(t), Options{})
			dir := model(t, nil)
			c, subject := pushed(t, r, dir)
			if subject.Digest != c.ID || subject.Size != int64(len(c.Manifest)) {
				t.Fatalf("resolved to %+v, pushed %s of %d bytes", subject, c.ID, len(c.Manifest))
			}
			other := open(t, r.ref, Options{}) // with nothing in memory
			raw, err := other.Manifest(ctx, subject.Digest)
			if err != nil || !bytes.Equal(raw, c.Manifest) {
				t.Fatalf("manifest differs (%v)", err)
			}
			parsed, err := manifest.ParseCanonical(raw)
			if err != nil {
				t.Fatal(err)
			}
			if pinned, err := other.Resolve(ctx, mustRef(t, r.ref.Pinned(c.ID))); err != nil || pinned != subject {
				t.Fatalf("pinned reference resolves to %+v (%v)", pinned, err)
			}
			for i := range 3 {
				first, err := r.Attach(ctx, subject, testBundle(i), testPredicate)
				if err != nil {
					t.Fatal(err)
				}
				second, err := r.Attach(ctx, subject, testBundle(i), testPredicate)
				if err != nil || first != second {
					t.Fatalf("attached again as %s, before as %s (%v)", second, first, err)
				}
			}
			items, err := other.Bundles(ctx, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			found := bundlesOf(items)
			if len(items) != 3 || !found[string(testBundle(0))] || !found[string(testBundle(1))] || !found[string(testBundle(2))] {
				t.Fatalf("found %d bundles: %v", len(items), items)
			}
			if d, err := other.Resolve(ctx, r.ref); err != nil || d != subject {
				t.Errorf("evidence moved the tag: %+v (%v)", d, err)
			}
			target := filepath.Join(t.TempDir(), "out")
			if err := other.Pull(ctx, parsed, target, PullOptions{Signature: testBundle(7), Claims: [][]byte{testBundle(8), testBundle(9)}}); err != nil {
				t.Fatal(err)
			}
			checkPulled(t, dir, target)
			nothingLeft(t, filepath.Dir(target), "out")
		})
	}
}

// checkPulled compares a pulled model with its origin; bundles 7 to 9 lie with it.
func checkPulled(t *testing.T, dir, target string) {
	t.Helper()
	want, got := tree(t, dir), tree(t, target)
	delete(got, manifest.SignatureName)
	delete(got, manifest.ClaimsName)
	if !maps.Equal(want, got) {
		t.Errorf("pulled files differ")
	}
	items, err := ReadEvidence(context.Background(), target, EvidenceOptions{})
	if err != nil || len(items) != 3 || !bytes.Equal(items[0].Bundle, testBundle(7)) || !bytes.Equal(items[2].Bundle, testBundle(9)) {
		t.Errorf("evidence beside the pulled files: %v (%v)", items, err)
	}
	_ = filepath.WalkDir(target, func(at string, d fs.DirEntry, _ error) error {
		info, err := d.Info()
		if err != nil {
			t.Fatal(err)
		}
		if most := fs.FileMode(0o644); !d.IsDir() && info.Mode()&^most != 0 {
			t.Errorf("%s has mode %v", at, info.Mode())
		}
		return nil
	})
}

func TestRepoKeepsPackedArtifacts(t *testing.T) {
	many := map[string]string{"big.bin": strings.Repeat("x", 5<<20)}
	for i := range 20_000 {
		many[fmt.Sprintf("shards/%03d/part-%05d-of-20000.txt", i%100, i)] = fmt.Sprint("content ", i)
	}
	long := map[string]string{}
	for i := range 3600 {
		long[fmt.Sprintf("%s/%s/%d", strings.Repeat("a", 250), strings.Repeat("b", 250), i)] = fmt.Sprint("content ", i)
	}
	for i, files := range []map[string]string{many, long} {
		p := places()[i]
		t.Run(p.name, func(t *testing.T) {
			if testing.Short() && len(files) > 10_000 {
				t.Skip("20,000 files are not written in short mode")
			}
			ctx := context.Background()
			dir := model(t, files)
			m, err := manifest.Build(ctx, dir, manifest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			c, err := m.OCI()
			if err != nil {
				t.Fatal(err)
			}
			if !c.Layers[len(c.Layers)-1].Pack {
				t.Fatal("nothing was packed")
			}
			r := open(t, p.ref(t), Options{})
			if _, err := r.Push(ctx, c, Files{dir}, PushOptions{}); err != nil {
				t.Fatal(err)
			}
			raw, err := r.Manifest(ctx, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := manifest.ParseCanonical(raw)
			if err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(t.TempDir(), "out")
			if err := r.Pull(ctx, parsed, target, PullOptions{Files: m.Files}); err != nil {
				t.Fatal(err)
			}
			if again := canonical(t, target); again.ID != c.ID {
				t.Errorf("pulled files are %s, pushed %s", again.ID, c.ID)
			}
		})
	}
}

func TestPushRefusesAFileThatChanged(t *testing.T) {
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			ctx := context.Background()
			r := open(t, p.ref(t), Options{})
			dir := model(t, map[string]string{"a.bin": "aaaa", "b.bin": "bbbb"})
			c := canonical(t, dir)
			for _, other := range []string{"AAAA", "aaaaa", "aaa", ""} {
				if err := os.WriteFile(filepath.Join(dir, "a.bin"), []byte(other), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := r.Push(ctx, c, Files{dir}, PushOptions{}); !errors.Is(err, hashing.ErrChanged) {
					t.Errorf("pushed %q for \"aaaa\": %v", other, err)
				}
				if d := (Descriptor{Digest: sumOf([]byte("aaaa")), Size: 4}); mustHave(t, r, d) {
					t.Errorf("something lies under the digest of the old bytes")
				}
				if _, err := r.Manifest(ctx, c.ID); !errors.Is(err, ErrNotFound) {
					t.Errorf("manifest is there: %v", err)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "a.bin"), []byte("aaaa"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Push(ctx, c, Files{dir}, PushOptions{}); err != nil {
				t.Errorf("push of the unchanged files: %v", err)
			}
		})
	}
}

func mustHave(t *testing.T, r *Repo, d Descriptor) bool {
	t.Helper()
	ok, err := r.store.hasBlob(context.Background(), d)
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	return ok
}

func TestPullLeavesExistingTargetsAlone(t *testing.T) {
	ctx := context.Background()
	r := open(t, places()[0].ref(t), Options{})
	dir := model(t, nil)
	c, _ := pushed(t, r, dir)
	parent := t.TempDir()
	at := func(name string) string { return filepath.Join(parent, name) }
	for _, err := range []error{
		os.WriteFile(at("file"), []byte("mine"), 0o600),
		os.Mkdir(at("full"), 0o755), os.WriteFile(at("full/x"), []byte("mine"), 0o600),
		os.Mkdir(at("elsewhere"), 0o755), os.Symlink("elsewhere", at("link")), os.Symlink("nowhere", at("dangling")),
		os.Mkdir(at("empty"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"file", "full", "link", "dangling"} {
		if err := r.Pull(ctx, c, at(name), PullOptions{}); !errors.Is(err, ErrExists) {
			t.Errorf("pull to %s: %v", name, err)
		}
	}
	for _, name := range []string{"empty", "new"} {
		if err := r.Pull(ctx, c, at(name), PullOptions{}); err != nil {
			t.Errorf("pull to %s: %v", name, err)
		}
	}
	if got := tree(t, at("full")); len(got) != 1 || got["x"] != "mine" {
		t.Errorf("full directory holds %v", got)
	}
	nothingLeft(t, parent, "file", "full", "elsewhere", "link", "dangling", "empty", "new")
	nothingLeft(t, at("elsewhere"))
}

func TestPullRefusesNamesThatClimb(t *testing.T) {
	ctx := context.Background()
	r := open(t, places()[0].ref(t), Options{})
	dir := model(t, map[string]string{"a.bin": "aaaa"})
	c, _ := pushed(t, r, dir)
	for _, name := range []string{"../a", "/a", "a/../../b", "", ".", "..", "a//b", "model.sig\x00", "a/"} {
		bad := *c
		bad.Layers = append([]manifest.Layer{}, c.Layers...)
		bad.Layers[0].Name = name
		parent := t.TempDir()
		if err := r.Pull(ctx, &bad, filepath.Join(parent, "out"), PullOptions{}); err == nil {
			t.Errorf("pulled %q", name)
		}
		nothingLeft(t, parent)
	}
	if err := r.Pull(ctx, c, filepath.Join(t.TempDir(), "out"), PullOptions{}); err != nil {
		t.Error(err)
	}
}

func TestPullEndsWithItsContext(t *testing.T) {
	for _, p := range places()[:2] {
		t.Run(p.name, func(t *testing.T) {
			r := open(t, p.ref(t), Options{})
			c, _ := pushed(t, r, model(t, nil))
			parent := t.TempDir()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			err := r.Pull(ctx, c, filepath.Join(parent, "out"), PullOptions{Progress: func(done, _ int64) {
				if done > 300_000 {
					cancel()
				}
			}})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("pull ended with %v", err)
			}
			nothingLeft(t, parent)
		})
	}
}

func TestProgressReachesItsTotal(t *testing.T) {
	ctx := context.Background()
	for _, p := range places()[:2] {
		r := open(t, p.ref(t), Options{})
		dir := model(t, nil)
		c := canonical(t, dir)
		for _, step := range []string{"first push", "second push", "pull"} {
			var last, total int64
			see := func(done, all int64) {
				if done < last {
					t.Errorf("%s: progress went back from %d to %d", step, last, done)
				}
				last, total = done, all
			}
			var err error
			if step == "pull" {
				err = r.Pull(ctx, c, filepath.Join(t.TempDir(), "out"), PullOptions{Progress: see})
			} else {
				_, err = r.Push(ctx, c, Files{dir}, PushOptions{Progress: see})
			}
			if err != nil || last != total || total == 0 {
				t.Errorf("%s: %d of %d (%v)", step, last, total, err)
			}
		}
	}
}

func TestAttachLosesNothingInParallel(t *testing.T) {
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			ctx := context.Background()
			r := open(t, p.ref(t), Options{})
			c, subject := pushed(t, r, model(t, map[string]string{"a.bin": "a"}))
			const writers = 8
			var all sync.WaitGroup
			for i := range writers {
				all.Go(func() {
					own := open(t, r.ref, Options{})
					if _, err := own.Attach(ctx, subject, testBundle(i), testPredicate); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			items, err := open(t, r.ref, Options{}).Bundles(ctx, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			if found := bundlesOf(items); len(found) != writers {
				t.Errorf("%d of %d bundles are left", len(found), writers)
			}
		})
	}
}

func TestAttachRefusesWhatIsNoBundle(t *testing.T) {
	ctx := context.Background()
	r := open(t, places()[0].ref(t), Options{})
	_, subject := pushed(t, r, model(t, map[string]string{"a.bin": "a"}))
	for _, bad := range []string{"", "{}", "[]", `{"mediaType":"text/plain"}`, string(testBundle(1)) + string(testBundle(2))} {
		if _, err := r.Attach(ctx, subject, []byte(bad), testPredicate); err == nil {
			t.Errorf("attached %q", bad)
		}
	}
	if _, err := r.Attach(ctx, subject, testBundle(1), ""); err == nil {
		t.Error("attached without a predicate type")
	}
	if _, err := r.Attach(ctx, Descriptor{}, testBundle(1), testPredicate); err == nil {
		t.Error("attached to nothing")
	}
	if _, err := r.Attach(ctx, subject, testBundle(1), testPredicate); err != nil {
		t.Error(err)
	}
}

func TestResolveSaysWhatIsMissing(t *testing.T) {
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			ctx := context.Background()
			r := open(t, p.ref(t), Options{})
			if _, err := r.Resolve(ctx, r.ref); !errors.Is(err, ErrNotFound) {
				t.Errorf("empty repository: %v", err)
			}
			_, subject := pushed(t, r, model(t, map[string]string{"a.bin": "a"}))
			for _, missing := range []string{r.Name() + ":v2", r.ref.Pinned(sumOf([]byte("other")))} {
				if _, err := r.Resolve(ctx, mustRef(t, missing)); !errors.Is(err, ErrNotFound) {
					t.Errorf("%s: %v", missing, err)
				}
			}
			if _, err := r.Resolve(ctx, mustRef(t, "localhost:1/other:v1")); err == nil {
				t.Error("resolved a reference of another repository")
			}
			if d, err := r.Resolve(ctx, r.ref); err != nil || d != subject {
				t.Errorf("%+v %v", d, err)
			}
		})
	}
}

func TestOpenOfflineDialsNothing(t *testing.T) {
	if _, err := Open(mustRef(t, "registry.example/a:b"), Options{Offline: true}); !errors.Is(err, ErrOffline) {
		t.Errorf("opened offline: %v", err)
	}
	if _, err := Open(Ref{}, Options{}); err == nil {
		t.Error("opened nothing")
	}
	if _, err := Open(mustRef(t, "oci:somewhere:b"), Options{Offline: true}); err != nil {
		t.Error(err)
	}
}

func TestRepoLeavesNoGoroutines(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("", func(t *testing.T) {
		ctx := context.Background()
		r := open(t, places()[1].ref(t), Options{})
		dir := model(t, nil)
		c, subject := pushed(t, r, dir)
		if _, err := r.Attach(ctx, subject, testBundle(1), testPredicate); err != nil {
			t.Fatal(err)
		}
		if err := r.Pull(ctx, c, filepath.Join(t.TempDir(), "out"), PullOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Bundles(ctx, c.ID); err != nil {
			t.Fatal(err)
		}
	})
	goleak.VerifyNone(t, before)
}
