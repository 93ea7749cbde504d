package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// FileName is the store's file in its directory.
const FileName = "trust.json"

// maxStore caps that file, in bytes: the root, the signing config and all metadata at their own caps, in base64.
const maxStore = 24 << 20

const schema = "hallmark.trust-store/v1"

// Why there is no trusted root to use.
var (
	ErrNone  = errors.New("no trusted root was imported")
	ErrStale = errors.New("the imported trusted root is stale")
)

// Store is the directory that holds the imported trusted root and, where there is one, its instance's signing config. Several processes may use one: a reader sees the old root
// or the new one, never a part.
type Store struct {
	Dir string           // need not exist before the first import or update
	Now func() time.Time // the clock; nil: time.Now
}

// DefaultDir is where the user's store is: the folder "hallmark" in os.UserConfigDir. It errs where there is none, as
// without a home directory.
func DefaultDir() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the user's configuration: %w", err)
	}
	return filepath.Join(dir, "hallmark"), nil
}

// Root is a trusted root as it is stored.
type Root struct {
	Sigstore *trust.Sigstore

	// SigningConfig is the signing_config.json, v0.2, of the same instance: which servers a signer asks. It is stored as it
	// came, not looked into. nil: none was imported, or the mirror has none.
	SigningConfig []byte

	From    string    // the file that it was imported from; empty for TUF
	Mirror  string    // the TUF mirror that it came from; empty for a file
	Stored  time.Time // when it was imported, or last confirmed by the mirror
	Expires time.Time // until when the mirror's word holds; zero: it came from a file and goes on
}

// Stale reports whether r's mirror should have been asked again.
func (r *Root) Stale(now time.Time) bool { return !r.Expires.IsZero() && !now.Before(r.Expires) }

// FreshNotice is how long before its end Warnings speaks of the mirror's word. It is short: repositories promise a few
// days at a time.
const FreshNotice = 24 * time.Hour

// Warnings says that r is stale, or about to be. What r trusts has warnings of its own (trust.Warnings).
func (r *Root) Warnings(now time.Time) []string {
	switch {
	case r.Stale(now):
		return []string{fmt.Sprintf("stale since %s: hallmark trust update", r.Expires.Format(time.RFC3339))}
	case !r.Expires.IsZero() && r.Expires.Sub(now) <= FreshNotice:
		return []string{fmt.Sprintf("stale from %s: hallmark trust update", r.Expires.Format(time.RFC3339))}
	}
	return nil
}

// kept is the form on disk.
type kept struct {
	Schema        string    `json:"schema"`
	From          string    `json:"from,omitempty"`
	Stored        time.Time `json:"stored"`
	TrustedRoot   []byte    `json:"trustedRoot"`
	SigningConfig []byte    `json:"signingConfig,omitempty"`
	TUF           *tufState `json:"tuf,omitempty"`
}

// tufState is what the last update left, and the next is held to.
type tufState struct {
	Mirror    string    `json:"mirror"`
	Anchor    string    `json:"anchor"` // hex SHA-256 of the root.json that trust in the mirror began with
	Expires   time.Time `json:"expires"`
	Root      []byte    `json:"root"`
	Timestamp []byte    `json:"timestamp"`
	Snapshot  []byte    `json:"snapshot"`
	Targets   []byte    `json:"targets"`
}

func (s Store) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC()
	}
	return s.Now().UTC()
}

func (s Store) path() string { return filepath.Join(s.Dir, FileName) }

// Current is the imported trusted root, for use, with its signing config. It errs with ErrNone where there is none and
// with ErrStale where TUF metadata ran out: what was withdrawn since would still be trusted.
func (s Store) Current() (*Root, error) {
	r, err := s.Load()
	if err != nil {
		return nil, err
	}
	if r.Stale(s.now()) {
		return nil, fmt.Errorf("%w since %s: %s was last asked %s", ErrStale,
			r.Expires.Format(time.RFC3339), r.Mirror, r.Stored.Format(time.RFC3339))
	}
	return r, nil
}

// Load is the imported trusted root whether it is stale or not, for showing. It errs with ErrNone where there is none,
// and where others than its owner can write it.
func (s Store) Load() (*Root, error) {
	k, err := s.read()
	if err != nil {
		return nil, err
	}
	return k.root()
}

func (k *kept) root() (*Root, error) {
	loaded, err := trust.LoadSigstore(k.TrustedRoot)
	if err != nil {
		return nil, err
	}
	r := &Root{From: k.From, Stored: k.Stored, SigningConfig: k.SigningConfig}
	from := k.From
	if k.TUF != nil {
		r.Mirror, r.Expires = k.TUF.Mirror, k.TUF.Expires
		from = k.TUF.Mirror
	}
	r.Sigstore = loaded.WithOrigin(trust.Imported, from)
	return r, nil
}

func (s Store) read() (*kept, error) {
	if s.Dir == "" {
		return nil, fmt.Errorf("%w: there is no directory to look in", ErrNone)
	}
	f, err := os.Open(s.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w into %s", ErrNone, s.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read the imported trusted root: %w", err)
	}
	defer f.Close()
	if err := s.checkPrivate(f); err != nil {
		return nil, fmt.Errorf("read the imported trusted root: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxStore+1))
	if err != nil {
		return nil, fmt.Errorf("read the imported trusted root: %w", err)
	}
	if len(data) > maxStore {
		return nil, fmt.Errorf("read %s: larger than %d bytes", s.path(), maxStore)
	}
	var k kept
	if err := json.Unmarshal(data, &k, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.path(), err)
	}
	if k.Schema != schema {
		return nil, fmt.Errorf("read %s: it is %q, not %s", s.path(), k.Schema, schema)
	}
	if k.TUF != nil && (k.TUF.Mirror == "" || k.TUF.Expires.IsZero()) {
		return nil, fmt.Errorf("read %s: it does not say which mirror its root is from, or until when", s.path())
	}
	return &k, nil
}

// othersWrite are the permissions that make a store somebody else's too.
const othersWrite = 0o022

func (s Store) checkPrivate(f *os.File) error {
	if runtime.GOOS == "windows" { // permissions there are not these
		return nil
	}
	file, err := f.Stat()
	if err != nil {
		return err
	}
	dir, err := os.Stat(s.Dir)
	if err != nil {
		return err
	}
	for _, info := range []fs.FileInfo{file, dir} {
		if info.Mode().Perm()&othersWrite != 0 {
			return fmt.Errorf("%s in %s can be written by others than its owner (%s)", info.Name(), s.Dir, info.Mode().Perm())
		}
	}
	return nil
}

// Import stores the trusted_root.json in data, which came from the named file, and the signing config that goes with it,
// nil for none, in place of what was there. Data that trust.LoadSigstore refuses changes nothing; that the config can be
// used is for the caller to find out.
func (s Store) Import(data, signingConfig []byte, from string) (*Root, error) {
	if len(signingConfig) > trust.MaxFile {
		return nil, fmt.Errorf("signing config of %d bytes, at most %d are read", len(signingConfig), trust.MaxFile)
	}
	k := &kept{Schema: schema, From: from, Stored: s.now(), TrustedRoot: data, SigningConfig: signingConfig}
	r, err := k.root()
	if err != nil {
		return nil, err
	}
	if err := s.write(k); err != nil {
		return nil, err
	}
	return r, nil
}

// write replaces the store's file as a whole.
func (s Store) write(k *kept) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("store the trusted root: %w", err)
		}
	}()
	if s.Dir == "" {
		return errors.New("there is no directory to store it in")
	}
	data, err := json.Marshal(k, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.Dir, "."+FileName+"-*") // readable by its owner alone
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), s.path())
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if d, openErr := os.Open(s.Dir); openErr == nil { // the name should survive a crash too; not every system can promise
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}
