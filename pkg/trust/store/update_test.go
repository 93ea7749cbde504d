package store

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// stored is the digest of the root that the store holds, or the reason why there is none.
func stored(s Store) string {
	r, err := s.Load()
	if err != nil {
		return err.Error()
	}
	return r.Sigstore.Origin().Digest
}

func mustUpdate(t *testing.T, s Store, o UpdateOptions) *Root {
	t.Helper()
	r, err := s.Update(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestUpdateStoresWhatTheMirrorSigned(t *testing.T) {
	repo := newRepository(t)
	data := trustedRoot(t, "one.test")
	repo.publish(data)
	s, clock := newStore(t)
	r := mustUpdate(t, s, repo.options())
	if r.Mirror != repo.server.URL || !r.Expires.Equal(now.Add(week)) || r.Sigstore.Origin().Digest != "sha256:"+digest(data) {
		t.Errorf("stored %+v, %s", r, r.Sigstore.Origin())
	}
	current, err := s.Current()
	if err != nil || current.Origin() != (trust.Origin{Source: trust.Imported, From: repo.server.URL, Digest: "sha256:" + digest(data)}) {
		t.Fatalf("current: %v, %v", current, err)
	}
	info, err := os.Stat(s.path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v", info.Mode(), err)
	}

	// Nothing new: the mirror's word is renewed, nothing is fetched twice.
	repo.asked("")
	*clock = now.Add(week / 2)
	mustUpdate(t, s, UpdateOptions{})
	if repo.asked("targets") {
		t.Error("what is known was fetched again")
	}

	// A new root under a new key: both root.json files are needed to believe it.
	old := repo.key
	repo.root.Signed.Version++
	repo.own(repo.newKey())
	repo.putRoot(old, repo.key)
	second := trustedRoot(t, "two.test")
	repo.publish(second)
	mustUpdate(t, s, UpdateOptions{})
	if got := stored(s); got != "sha256:"+digest(second) {
		t.Errorf("after a rotation: %s", got)
	}
	repo.asked("")
	mustUpdate(t, s, UpdateOptions{})
	if repo.asked("2.root.json") {
		t.Error("the known root.json was not gone on from")
	}
}

// TestUpdateRefuses begins each time with an update that succeeds, changes one thing, and must leave the store as it was.
func TestUpdateRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *repository, clock *time.Time)
		says   string
		is     error
	}{
		"an older timestamp": {func(r *repository, _ *time.Time) {
			r.put("timestamp.json", r.stamps[0])
		}, "verify timestamp.json", &metadata.ErrBadVersionNumber{}},
		"a version that goes back": {func(r *repository, _ *time.Time) {
			r.version -= 2
			r.publish(trustedRoot(t, "old.test"))
		}, "verify timestamp.json", &metadata.ErrBadVersionNumber{}},
		"a new timestamp over an old snapshot": {func(r *repository, _ *time.Time) {
			stamp := metadata.Timestamp(r.expires)
			stamp.Signed.Version, stamp.Signed.Meta["snapshot.json"] = r.version+1, metadata.MetaFile(r.version-1)
			r.put("timestamp.json", sign(r, stamp, r.key))
		}, "verify timestamp.json", &metadata.ErrBadVersionNumber{}},
		"expired metadata": {func(r *repository, _ *time.Time) {
			r.expires = now.Add(-1)
			r.publish(trustedRoot(t, "new.test"))
		}, "verify timestamp.json", &metadata.ErrExpiredMetadata{}},
		"nothing new until it expired": {func(r *repository, clock *time.Time) {
			*clock = now.Add(2 * week)
		}, "is expired", &metadata.ErrExpiredMetadata{}},
		"an expired root": {func(r *repository, clock *time.Time) {
			*clock = now.Add(100 * week)
			r.expires = now.Add(200 * week)
			r.publish(trustedRoot(t, "new.test"))
		}, "root.json is expired", &metadata.ErrExpiredMetadata{}},
		"another's key": {func(r *repository, _ *time.Time) {
			r.key = r.newKey()
			r.publish(trustedRoot(t, "new.test"))
		}, "verify timestamp.json", &metadata.ErrUnsignedMetadata{}},
		"a root by another's key": {func(r *repository, _ *time.Time) {
			r.root.Signed.Version++
			r.own(r.newKey())
			r.putRoot(r.key)
		}, "verify 2.root.json", &metadata.ErrUnsignedMetadata{}},
		"a target that is too large": {func(r *repository, _ *time.Time) {
			r.length = trust.MaxFile + 1
			r.publish(trustedRoot(t, "new.test"))
		}, "at most", nil},
		"a target longer than said": {func(r *repository, _ *time.Time) {
			r.length = 100
			r.publish(trustedRoot(t, "new.test"))
		}, "more than 100 bytes", nil},
		"another target than said": {func(r *repository, _ *time.Time) {
			data := trustedRoot(t, "new.test")
			r.publish(data)
			r.put("targets/"+digest(data)+"."+target, bytes.ToUpper(data))
		}, "verify trusted_root.json", &metadata.ErrLengthOrHashMismatch{}},
		"a target that is no trusted root": {func(r *repository, _ *time.Time) { r.publish([]byte("{}")) }, "", trust.ErrRoot},
		"an endless timestamp": {func(r *repository, _ *time.Time) {
			r.put("timestamp.json", bytes.Repeat([]byte(" "), maxTimestamp+1))
		}, "fetch timestamp.json: more than", nil},
		"a missing snapshot": {func(r *repository, _ *time.Time) {
			r.publish(trustedRoot(t, "new.test"))
			delete(r.files, "3.snapshot.json")
		}, "fetch 3.snapshot.json", errAbsent},
		"a mirror with trouble": {func(r *repository, _ *time.Time) {
			r.instead = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
		}, "answers 500", nil},
		"a mirror that leads elsewhere": {func(r *repository, _ *time.Time) {
			r.instead = func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, "/elsewhere", http.StatusFound) }
		}, "answers 302", nil},
		"a mirror that is down": {func(r *repository, _ *time.Time) { r.server.Close() }, "fetch 2.root.json", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t)
			r.publish(trustedRoot(t, "first.test"))
			r.publish(trustedRoot(t, "second.test"))
			s, clock := newStore(t)
			mustUpdate(t, s, r.options())
			before := stored(s)
			r.asked("")
			c.change(r, clock)
			_, err := s.Update(t.Context(), r.options())
			if err == nil || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("updated: %v", err)
			}
			if c.says == "at most" && r.asked(target) {
				t.Error("a target that is too large was fetched")
			}
			if after := stored(s); after != before {
				t.Errorf("the store changed from %s to %s", before, after)
			}
		})
	}
}

func TestUpdateBeginsWithTheRightAnchor(t *testing.T) {
	mine, theirs := newRepository(t), newRepository(t)
	mine.publish(trustedRoot(t, "mine.test"))
	theirs.publish(trustedRoot(t, "theirs.test"))
	s, _ := newStore(t)
	if _, err := s.Update(t.Context(), UpdateOptions{Mirror: mine.server.URL}); !errors.Is(err, ErrNoAnchor) {
		t.Errorf("unknown mirror: %v", err)
	}
	if _, err := s.Update(t.Context(), UpdateOptions{Mirror: mine.server.URL, Anchor: theirs.anchor()}); !errors.Is(err, &metadata.ErrUnsignedMetadata{}) {
		t.Errorf("root.json of another: %v", err)
	}
	for _, bad := range []UpdateOptions{
		{Mirror: "ftp://mirror.test", Anchor: mine.anchor()}, {Mirror: mine.server.URL, Anchor: []byte("{}")}, {Anchor: mine.anchor()},
		{Mirror: "https://user@mirror.test", Anchor: mine.anchor()}, {Mirror: mine.server.URL, Anchor: mine.anchor(), Timeout: -1},
	} {
		if _, err := s.Update(t.Context(), bad); err == nil {
			t.Errorf("%s: no error", bad.Mirror)
		}
	}
	if _, err := s.Load(); !errors.Is(err, ErrNone) {
		t.Errorf("something was stored: %v", err)
	}
	mustUpdate(t, s, mine.options())
	mustUpdate(t, s, theirs.options()) // said in full, another mirror takes the place of the first

	if _, err := s.Import(trustedRoot(t, "file.test"), "root.json"); err != nil {
		t.Fatal(err)
	}
	before := stored(s)
	if _, err := s.Update(t.Context(), UpdateOptions{}); !errors.Is(err, ErrReplaces) || stored(s) != before {
		t.Errorf("a root from a file was replaced: %v", err)
	}
}

func TestUpdateEndsWithItsContext(t *testing.T) {
	r := newRepository(t)
	r.publish(trustedRoot(t, "one.test"))
	s, _ := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.instead = func(w http.ResponseWriter, q *http.Request) { cancel(); <-q.Context().Done() }
	if _, err := s.Update(ctx, r.options()); !errors.Is(err, context.Canceled) {
		t.Errorf("updated: %v", err)
	}
}
