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
	"github.com/hallmark-project/hallmark/test/lab/tuf"
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
	repo.Publish(data)
	s, clock := newStore(t)
	r := mustUpdate(t, s, options(repo))
	if r.Mirror != repo.URL || !r.Expires.Equal(now.Add(week)) || r.Sigstore.Origin().Digest != "sha256:"+digest(data) {
		t.Errorf("stored %+v, %s", r, r.Sigstore.Origin())
	}
	current, err := s.Current()
	if err != nil || current.Sigstore.Origin() != (trust.Origin{Source: trust.Imported, From: repo.URL, Digest: "sha256:" + digest(data)}) {
		t.Fatalf("current: %v, %v", current, err)
	}
	info, err := os.Stat(s.path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v", info.Mode(), err)
	}

	// Nothing new: the mirror's word is renewed, nothing is fetched twice.
	repo.Asked("")
	*clock = now.Add(week / 2)
	mustUpdate(t, s, UpdateOptions{})
	if repo.Asked("targets") {
		t.Error("what is known was fetched again")
	}

	// A new root under a new key: both root.json files are needed to believe it.
	old := repo.Key
	repo.Root.Signed.Version++
	repo.Own(repo.NewKey())
	repo.PutRoot(old, repo.Key)
	second := trustedRoot(t, "two.test")
	repo.Publish(second)
	mustUpdate(t, s, UpdateOptions{})
	if got := stored(s); got != "sha256:"+digest(second) {
		t.Errorf("after a rotation: %s", got)
	}
	repo.Asked("")
	mustUpdate(t, s, UpdateOptions{})
	if repo.Asked("2.root.json") {
		t.Error("the known root.json was not gone on from")
	}
}

// TestUpdateKeepsTheSigningConfigBesideTheRoot: a repository need not have one, and can change it or take it away.
func TestUpdateKeepsTheSigningConfigBesideTheRoot(t *testing.T) {
	repo := newRepository(t)
	data := trustedRoot(t, "one.test")
	s, clock := newStore(t)
	for i, config := range []string{"", "first", "first", "second", "", "third"} {
		repo.Config = nil
		if config != "" {
			repo.Config = []byte(config)
		}
		repo.Publish(data)
		repo.Asked("")
		r := mustUpdate(t, s, options(repo))
		if asked := repo.Asked(configTarget); asked != (config != "" && i != 2) {
			t.Errorf("%d: %q was asked for: %t", i, config, asked)
		}
		current, err := s.Current()
		if err != nil || string(current.SigningConfig) != config || string(r.SigningConfig) != config || current.Sigstore.Origin().Digest != "sha256:"+digest(data) {
			t.Errorf("%d: %q is kept, %q returned, %q published: %v", i, current.SigningConfig, r.SigningConfig, config, err)
		}
	}
	*clock = now.Add(week) // stale, it is no more used than the root
	if _, err := s.Current(); !errors.Is(err, ErrStale) {
		t.Errorf("at its end: %v", err)
	}
	if _, err := s.Import(data, nil, "root.json"); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Current(); err != nil || r.SigningConfig != nil {
		t.Errorf("beside an imported root: %q, %v", r.SigningConfig, err)
	}
}

// TestUpdateRefuses begins each time with an update that succeeds, changes one thing, and must leave the store as it was.
func TestUpdateRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *tuf.Repository, clock *time.Time)
		says   string
		is     error
	}{
		"an older timestamp": {func(r *tuf.Repository, _ *time.Time) {
			r.Put("timestamp.json", r.Stamps[0])
		}, "verify timestamp.json", &metadata.ErrBadVersionNumber{}},
		"a version that goes back": {func(r *tuf.Repository, _ *time.Time) {
			r.Version -= 2
			r.Publish(trustedRoot(t, "old.test"))
		}, "verify timestamp.json", &metadata.ErrBadVersionNumber{}},
		"a new timestamp over an old snapshot": {func(r *tuf.Repository, _ *time.Time) {
			stamp := metadata.Timestamp(r.Expires)
			stamp.Signed.Version, stamp.Signed.Meta["snapshot.json"] = r.Version+1, metadata.MetaFile(r.Version-1)
			r.Put("timestamp.json", tuf.Sign(r, stamp, r.Key))
		}, "verify timestamp.json", &metadata.ErrBadVersionNumber{}},
		"expired metadata": {func(r *tuf.Repository, _ *time.Time) {
			r.Expires = now.Add(-1)
			r.Publish(trustedRoot(t, "new.test"))
		}, "verify timestamp.json", &metadata.ErrExpiredMetadata{}},
		"nothing new until it expired": {func(r *tuf.Repository, clock *time.Time) {
			*clock = now.Add(2 * week)
		}, "is expired", &metadata.ErrExpiredMetadata{}},
		"an expired root": {func(r *tuf.Repository, clock *time.Time) {
			*clock = now.Add(100 * week)
			r.Expires = now.Add(200 * week)
			r.Publish(trustedRoot(t, "new.test"))
		}, "root.json is expired", &metadata.ErrExpiredMetadata{}},
		"another's key": {func(r *tuf.Repository, _ *time.Time) {
			r.Key = r.NewKey()
			r.Publish(trustedRoot(t, "new.test"))
		}, "verify timestamp.json", &metadata.ErrUnsignedMetadata{}},
		"a root by another's key": {func(r *tuf.Repository, _ *time.Time) {
			r.Root.Signed.Version++
			r.Own(r.NewKey())
			r.PutRoot(r.Key)
		}, "verify 2.root.json", &metadata.ErrUnsignedMetadata{}},
		"a target that is too large": {func(r *tuf.Repository, _ *time.Time) {
			r.Length = trust.MaxFile + 1
			r.Publish(trustedRoot(t, "new.test"))
		}, "at most", nil},
		"a target longer than said": {func(r *tuf.Repository, _ *time.Time) {
			r.Length = 100
			r.Publish(trustedRoot(t, "new.test"))
		}, "more than 100 bytes", nil},
		"another target than said": {func(r *tuf.Repository, _ *time.Time) {
			data := trustedRoot(t, "new.test")
			r.Publish(data)
			r.Put("targets/"+digest(data)+"."+rootTarget, bytes.ToUpper(data))
		}, "verify trusted_root.json", &metadata.ErrLengthOrHashMismatch{}},
		"another signing config than said": {func(r *tuf.Repository, _ *time.Time) {
			r.Config = []byte("{}")
			r.Publish(trustedRoot(t, "new.test"))
			r.Put("targets/"+digest(r.Config)+"."+configTarget, []byte("[]"))
		}, "verify signing_config.v0.2.json", &metadata.ErrLengthOrHashMismatch{}},
		"a missing signing config": {func(r *tuf.Repository, _ *time.Time) {
			r.Config = []byte("{}")
			r.Publish(trustedRoot(t, "new.test"))
			r.Remove("targets/" + digest(r.Config) + "." + configTarget)
		}, "fetch targets/", errAbsent},
		"an enormous signing config": {func(r *tuf.Repository, _ *time.Time) {
			r.Config = bytes.Repeat([]byte(" "), trust.MaxFile+1)
			r.Publish(trustedRoot(t, "new.test"))
		}, "signing_config.v0.2.json has 4194305 bytes, at most", nil},
		"a target that is no trusted root": {func(r *tuf.Repository, _ *time.Time) { r.Publish([]byte("{}")) }, "", trust.ErrRoot},
		"an endless timestamp": {func(r *tuf.Repository, _ *time.Time) {
			r.Put("timestamp.json", bytes.Repeat([]byte(" "), maxTimestamp+1))
		}, "fetch timestamp.json: more than", nil},
		"a missing snapshot": {func(r *tuf.Repository, _ *time.Time) {
			r.Publish(trustedRoot(t, "new.test"))
			r.Remove("3.snapshot.json")
		}, "fetch 3.snapshot.json", errAbsent},
		"a mirror with trouble": {func(r *tuf.Repository, _ *time.Time) {
			r.Instead(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		}, "answers 500", nil},
		"a mirror that leads elsewhere": {func(r *tuf.Repository, _ *time.Time) {
			r.Instead(func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, "/elsewhere", http.StatusFound) })
		}, "answers 302", nil},
		"a mirror that is down": {func(r *tuf.Repository, _ *time.Time) { r.Close() }, "fetch 2.root.json", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t)
			r.Publish(trustedRoot(t, "first.test"))
			r.Publish(trustedRoot(t, "second.test"))
			s, clock := newStore(t)
			mustUpdate(t, s, options(r))
			before := stored(s)
			r.Asked("")
			c.change(r, clock)
			_, err := s.Update(t.Context(), options(r))
			if err == nil || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("updated: %v", err)
			}
			if c.says == "at most" && r.Asked(rootTarget) {
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
	mine.Publish(trustedRoot(t, "mine.test"))
	theirs.Publish(trustedRoot(t, "theirs.test"))
	s, _ := newStore(t)
	if _, err := s.Update(t.Context(), UpdateOptions{Mirror: mine.URL}); !errors.Is(err, ErrNoAnchor) {
		t.Errorf("unknown mirror: %v", err)
	}
	if _, err := s.Update(t.Context(), UpdateOptions{Mirror: mine.URL, Anchor: theirs.Anchor()}); !errors.Is(err, &metadata.ErrUnsignedMetadata{}) {
		t.Errorf("root.json of another: %v", err)
	}
	for _, bad := range []UpdateOptions{
		{Mirror: "ftp://mirror.test", Anchor: mine.Anchor()}, {Mirror: mine.URL, Anchor: []byte("{}")}, {Anchor: mine.Anchor()},
		{Mirror: "https://user@mirror.test", Anchor: mine.Anchor()}, {Mirror: mine.URL, Anchor: mine.Anchor(), Timeout: -1},
	} {
		if _, err := s.Update(t.Context(), bad); err == nil {
			t.Errorf("%s: no error", bad.Mirror)
		}
	}
	if _, err := s.Load(); !errors.Is(err, ErrNone) {
		t.Errorf("something was stored: %v", err)
	}
	mustUpdate(t, s, options(mine))
	mustUpdate(t, s, options(theirs)) // said in full, another mirror takes the place of the first

	if _, err := s.Import(trustedRoot(t, "file.test"), nil, "root.json"); err != nil {
		t.Fatal(err)
	}
	before := stored(s)
	if _, err := s.Update(t.Context(), UpdateOptions{}); !errors.Is(err, ErrReplaces) || stored(s) != before {
		t.Errorf("a root from a file was replaced: %v", err)
	}
}

// cut is a network that leads nowhere.
type cut struct{}

var errCut = errors.New("cut")

func (cut) RoundTrip(*http.Request) (*http.Response, error) { return nil, errCut }

// TestUpdateKnowsTheTwoInstances begins with the root.json that comes with the program: the first request is for the next.
func TestUpdateKnowsTheTwoInstances(t *testing.T) {
	for _, mirror := range []string{"", PublicGood, Staging} {
		s, _ := newStore(t)
		_, err := s.Update(t.Context(), UpdateOptions{Mirror: mirror, Transport: cut{}})
		if !errors.Is(err, errCut) || !strings.Contains(err.Error(), ".root.json") {
			t.Errorf("%q: %v", mirror, err)
		}
	}
}

// TestUpdateEndsWithItsTimeout has the mirror take for ever over each of its files.
func TestUpdateEndsWithItsTimeout(t *testing.T) {
	for _, slow := range []string{"2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json", "." + rootTarget, "." + configTarget} {
		r := newRepository(t)
		r.Config = []byte("{}")
		r.Publish(trustedRoot(t, "one.test"))
		s, _ := newStore(t)
		o := options(r)
		o.Timeout, o.Transport = time.Minute, &hanging{slow}
		_, err := s.Update(t.Context(), o)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), slow) {
			t.Errorf("%s: updated: %v", slow, err)
		}
		if _, err := s.Load(); !errors.Is(err, ErrNone) {
			t.Errorf("%s: something was stored: %v", slow, err)
		}
		o.Transport = nil
		mustUpdate(t, s, o)
	}
}

// hanging answers until a file is asked for, and then lets the time that it is given pass.
type hanging struct{ file string }

func (h *hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, h.file) {
		return http.DefaultTransport.RoundTrip(r)
	}
	if _, limited := r.Context().Deadline(); !limited {
		return nil, errors.New("this request may take for ever")
	}
	return nil, context.DeadlineExceeded
}

func TestUpdateEndsWithItsContext(t *testing.T) {
	r := newRepository(t)
	r.Publish(trustedRoot(t, "one.test"))
	s, _ := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.Instead(func(w http.ResponseWriter, q *http.Request) { cancel(); <-q.Context().Done() })
	if _, err := s.Update(ctx, options(r)); !errors.Is(err, context.Canceled) {
		t.Errorf("updated: %v", err)
	}
}
