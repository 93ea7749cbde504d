package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLayoutDoesNotTrustWhatLiesThere(t *testing.T) {
	ctx := context.Background()
	r := open(t, places()[0].ref(t), Options{})
	dir := model(t, map[string]string{"a.bin": "aaaa"})
	c, _ := pushed(t, r, dir)
	at := filepath.Join(r.ref.dir, filepath.FromSlash(blobPath(c.Layers[0].Digest.String())))
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("aaaa"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func() error{
		"wrong bytes": func() error { return os.WriteFile(at, []byte("AAAA"), 0o600) },
		"truncated":   func() error { return os.WriteFile(at, []byte("aa"), 0o600) },
		"gone":        func() error { return os.Remove(at) },
		"link out":    func() error { return errors.Join(os.Remove(at), os.Symlink(outside, at)) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(t.TempDir(), "out")
			if err := r.Pull(ctx, c, target, PullOptions{}); err == nil {
				t.Error("pulled")
			}
			nothingLeft(t, filepath.Dir(target))
			if name == "link out" {
				if err := os.Remove(at); err != nil {
					t.Fatal(err)
				}
			}
			// Pushing again mends it: a name and a size make no blob.
			if _, err := r.Push(ctx, c, Files{dir}, PushOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := r.Pull(ctx, c, target, PullOptions{}); err != nil {
				t.Errorf("after it was pushed again: %v", err)
			}
		})
	}
}

// TestLayoutReadsOnlyWhatItDoesNotKnow tells by what a push mends what it read: bytes that were spoiled.
func TestLayoutReadsOnlyWhatItDoesNotKnow(t *testing.T) {
	ctx := context.Background()
	dir := model(t, map[string]string{"a.bin": "aaaa"})
	c := canonical(t, dir)
	layout := filepath.Join(t.TempDir(), "layout")
	r := open(t, mustRef(t, "oci:"+layout+":v1"), Options{})
	at := filepath.Join(layout, filepath.FromSlash(blobPath(c.Layers[0].Digest.String())))
	for _, row := range []struct {
		name  string
		spoil func() error
		read  bool
	}{
		{"what was put and left alone", func() error {
			info, err := os.Stat(at)
			return errors.Join(err, os.WriteFile(at, []byte("AAAA"), 0o600), os.Chtimes(at, time.Time{}, info.ModTime()))
		}, false},
		{"what was written to", func() error { return os.WriteFile(at, []byte("AAAA"), 0o600) }, true},
		{"what has another blob's time", func() error {
			return errors.Join(os.WriteFile(at, []byte("AAAA"), 0o600), os.Chtimes(at, time.Time{}, checkedTime(sumOf(c.Config))))
		}, true},
		{"what has no time", func() error {
			return errors.Join(os.WriteFile(at, []byte("AAAA"), 0o600), os.Chtimes(at, time.Time{}, time.Unix(0, 0)))
		}, true},
	} {
		if _, err := r.Push(ctx, c, Files{dir}, PushOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := row.spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Push(ctx, c, Files{dir}, PushOptions{}); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(at)
		if err != nil || (string(raw) == "aaaa") != row.read {
			t.Errorf("%s: after another push the blob is %q, %v", row.name, raw, err)
		}
		if err := r.Pull(ctx, c, filepath.Join(t.TempDir(), "out"), PullOptions{}); (err == nil) != row.read {
			t.Errorf("%s: pull ended with %v", row.name, err)
		}
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLayoutIsNotMadeOverOtherThings(t *testing.T) {
	ctx := context.Background()
	dir := model(t, map[string]string{"a.bin": "a"})
	c := canonical(t, dir)
	marker := func(content string) func(string) error {
		return func(at string) error { return os.WriteFile(filepath.Join(at, "oci-layout"), []byte(content), 0o600) }
	}
	for name, row := range map[string]struct {
		make func(at string) error
		ok   bool
	}{
		"a home":         {func(at string) error { return os.WriteFile(filepath.Join(at, "letters.txt"), nil, 0o600) }, false},
		"other version":  {marker(`{"imageLayoutVersion":"2.0.0"}`), false},
		"no JSON":        {marker(`layout`), false},
		"marker too big": {marker(strings.Repeat(" ", maxMarker+1)), false},
		"empty":          {func(string) error { return nil }, true},
		"layout":         {marker(layoutMarker), true},
	} {
		at := t.TempDir()
		if err := row.make(at); err != nil {
			t.Fatal(err)
		}
		before := len(tree(t, at))
		_, err := open(t, mustRef(t, "oci:"+at+":v1"), Options{}).Push(ctx, c, Files{dir}, PushOptions{})
		if (err == nil) != row.ok {
			t.Errorf("%s: %v", name, err)
		}
		if !row.ok && len(tree(t, at)) != before {
			t.Errorf("%s: something was written", name)
		}
	}
}

func TestLayoutKeepsTagsOfParallelWriters(t *testing.T) {
	ctx := context.Background()
	r := open(t, places()[0].ref(t), Options{})
	c, _ := pushed(t, r, model(t, map[string]string{"a.bin": "a"}))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := open(t, r.ref, Options{}).Tag(ctx, c.ID, "t"+strconv.Itoa(i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if tags, err := r.store.tags(ctx, "t"); err != nil || len(tags) != 8 {
		t.Errorf("%v %v", tags, err)
	}
	nothingLeft(t, r.ref.dir, "oci-layout", "index.json", "blobs")
}

func TestLayoutTagsMove(t *testing.T) {
	ctx := context.Background()
	r := open(t, places()[0].ref(t), Options{})
	first, subject := pushed(t, r, model(t, map[string]string{"a.bin": "a"}))
	if _, err := r.Attach(ctx, subject, testBundle(1), testPredicate); err != nil {
		t.Fatal(err)
	}
	bare := mustRef(t, r.Name())
	if d, err := r.Resolve(ctx, bare); err != nil || d.Digest != first.ID {
		t.Errorf("the only artifact resolves to %v (%v)", d, err)
	}
	second, _ := pushed(t, r, model(t, map[string]string{"b.bin": "b"}))
	if d, err := r.Resolve(ctx, r.ref); err != nil || d.Digest != second.ID {
		t.Errorf("moved tag resolves to %v (%v)", d, err)
	}
	if d, err := r.Resolve(ctx, mustRef(t, r.ref.Pinned(first.ID))); err != nil || d != subject {
		t.Errorf("what the tag named before is lost: %v (%v)", d, err)
	}
	if items, err := r.Bundles(ctx, first.ID); err != nil || len(items) != 1 {
		t.Errorf("its evidence is lost: %v (%v)", items, err)
	}
	if _, err := r.Resolve(ctx, bare); err == nil {
		t.Error("one of two artifacts was picked")
	}
}

// What other tools wrote into index.json stays as it is.
func TestLayoutKeepsWhatItDoesNotKnow(t *testing.T) {
	ctx := context.Background()
	r := open(t, places()[0].ref(t), Options{})
	c, _ := pushed(t, r, model(t, map[string]string{"a.bin": "a"}))
	at := filepath.Join(r.ref.dir, "index.json")
	raw, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	const more = `{"mediaType":"application/x","digest":"` + someDigest + `","size":1,"platform":{"os":"plan9"}},`
	text := strings.Replace(string(raw), `"manifests":[`, `"annotations":{"k":"v"},"manifests":[`+more, 1)
	if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Tag(ctx, c.ID, "v2"); err != nil {
		t.Fatal(err)
	}
	if raw, err = os.ReadFile(at); err != nil || !strings.Contains(string(raw), `"platform":{"os":"plan9"}`) || !strings.Contains(string(raw), `"annotations":{"k":"v"}`) || !strings.Contains(string(raw), `"v2"`) {
		t.Errorf("index.json is now %s (%v)", raw, err)
	}
	if err := os.WriteFile(at, []byte(strings.Replace(text, `"schemaVersion":2`, `"schemaVersion":2,"schemaVersion":2`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resolve(ctx, r.ref); err == nil {
		t.Error("an index with a key twice was read")
	}
}

func TestLayoutLockEndsWithItsContext(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	unlock, err := lockDirectory(context.Background(), root)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := lockDirectory(ctx, root); !errors.Is(err, context.Canceled) {
		t.Errorf("locked twice: %v", err)
	}
	unlock()
	again, err := lockDirectory(ctx, root)
	if err != nil {
		t.Fatalf("a lock that is free: %v", err)
	}
	again()
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"m","digest":"` + someDigest + `","size":1,"annotations":{"a":"b"},"x":1}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := parseIndex(raw)
		if err != nil {
			return
		}
		again, err := x.marshal()
		if err != nil {
			t.Fatal(err)
		}
		y, err := parseIndex(again)
		if err != nil || len(y.Manifests) != len(x.Manifests) {
			t.Errorf("%s becomes %s (%v)", raw, again, err)
		}
	})
}

// TestLayoutReadsEachManifestOnceForItsSubject spoils the evidence of another artifact after referrers were listed: who asks
// again is answered, and who reads what was spoiled is told so.
func TestLayoutReadsEachManifestOnceForItsSubject(t *testing.T) {
	ctx := context.Background()
	r := open(t, places()[0].ref(t), Options{})
	_, subject := pushed(t, r, model(t, map[string]string{"a.bin": "a"}))
	other, spoiled := pushed(t, r, model(t, map[string]string{"b.bin": "b"}))
	if _, err := r.Attach(ctx, subject, testBundle(1), testPredicate); err != nil {
		t.Fatal(err)
	}
	evidence, err := r.Attach(ctx, spoiled, testBundle(2), testPredicate)
	if err != nil {
		t.Fatal(err)
	}
	r = open(t, r.ref, Options{})
	before, err := r.Referrers(ctx, subject.Digest)
	if err != nil || len(before) != 1 {
		t.Fatalf("%v, %v", before, err)
	}
	if err := os.WriteFile(filepath.Join(r.ref.dir, filepath.FromSlash(blobPath(evidence))), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := r.Referrers(ctx, subject.Digest); err != nil || !slices.Equal(again, before) {
		t.Errorf("asked again: %v, %v", again, err)
	}
	if items, err := r.Bundles(ctx, other.ID); err == nil {
		t.Errorf("spoiled evidence was read: %v", items)
	}
	if _, err := open(t, r.ref, Options{}).Referrers(ctx, subject.Digest); !errors.Is(err, ErrDigest) {
		t.Errorf("listed by who did not read it before: %v", err)
	}
}
