package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// The mirrors whose first root.json comes with the program.
const (
	PublicGood = tuf.DefaultMirror
	Staging    = tuf.StagingMirror
)

// The names of what Sigstore's TUF repositories hold: the trusted root, and for signers which servers to ask, in the one
// version of it that is read here. A repository need not have the latter.
const (
	rootTarget   = "trusted_root.json"
	configTarget = "signing_config.v0.2.json"
)

// Caps on what a mirror may make an update read, in bytes, and on root.json files that may follow the known one.
const (
	maxRoot      = 512 << 10
	maxTimestamp = 16 << 10
	maxSnapshot  = 2 << 20
	maxTargets   = 5 << 20
	maxRotations = 256
)

// DefaultTimeout is what one request to a mirror may take where UpdateOptions.Timeout is zero.
const DefaultTimeout = 2 * time.Minute

// Why an update was not begun.
var (
	ErrNoAnchor = errors.New("a mirror needs a root.json to begin with")
	ErrAddress  = errors.New("read the mirror's address")
	ErrReplaces = errors.New("the imported trusted root is another's")
)

// UpdateOptions says where from. The zero UpdateOptions goes on with the mirror of the last update, and where there was
// none begins with the public-good instance.
type UpdateOptions struct {
	Mirror    string            // base URL of a TUF repository; empty: see above
	Anchor    []byte            // the root.json to begin with; nil: the one that comes with PublicGood and Staging
	Timeout   time.Duration     // for each request; 0: DefaultTimeout
	Transport http.RoundTripper // nil: http.DefaultTransport
}

// Update fetches the trusted root, and the signing config where the repository has one, through TUF (specification 1.0,
// §5.3 to §5.7) and stores them with the metadata that vouch for them, all or nothing. It is held to the metadata of the last update from the same mirror, so no mirror can go
// back to an older state. An Anchor other than the one of the last update begins anew.
//
// It errs with ErrReplaces rather than put the public-good instance, unnamed, in the place of a root that came from a
// file, and with ErrNoAnchor for an unknown mirror. Where the repository is to blame, errors wrap go-tuf's (package
// metadata).
func (s Store) Update(ctx context.Context, o UpdateOptions) (*Root, error) {
	old, err := s.read()
	if err != nil && !errors.Is(err, ErrNone) {
		return nil, err
	}
	begin, err := startingPoint(old, o)
	if err != nil {
		return nil, err
	}
	m, err := newMirror(begin.Mirror, o)
	if err != nil {
		return nil, err
	}
	now := s.now()
	if old == nil {
		old = &kept{}
	}
	k, err := m.update(ctx, begin, old, now)
	if err != nil {
		return nil, fmt.Errorf("update the trusted root from %s: %w", begin.Mirror, err)
	}
	r, err := k.root()
	if err != nil {
		return nil, fmt.Errorf("update the trusted root from %s: %w", begin.Mirror, err)
	}
	if err := s.write(k); err != nil {
		return nil, err
	}
	return r, nil
}

// startingPoint is the mirror and the metadata to go on from: the last update's, or an anchor alone.
func startingPoint(old *kept, o UpdateOptions) (*tufState, error) {
	mirror := o.Mirror
	switch {
	case mirror != "":
	case old != nil && old.TUF != nil:
		mirror = old.TUF.Mirror
	case old != nil:
		return nil, fmt.Errorf("%w: it came from %q, and %s would take its place", ErrReplaces, old.From, PublicGood)
	case o.Anchor != nil:
		return nil, fmt.Errorf("%w: a root.json without the mirror that it is for", ErrAddress)
	default:
		mirror = PublicGood
	}
	if old != nil && old.TUF != nil && old.TUF.Mirror == mirror && (o.Anchor == nil || digest(o.Anchor) == old.TUF.Anchor) {
		state := *old.TUF
		return &state, nil
	}
	anchor := o.Anchor
	if anchor == nil {
		switch mirror {
		case PublicGood:
			anchor = tuf.DefaultRoot()
		case Staging:
			anchor = tuf.StagingRoot()
		default:
			return nil, fmt.Errorf("%w: none is known for %q", ErrNoAnchor, mirror)
		}
	}
	return &tufState{Mirror: mirror, Anchor: digest(anchor), Root: anchor}, nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// update runs the client's workflow from the state begin and returns what is to be kept. What old has need not be fetched
// again.
func (m *mirror) update(ctx context.Context, begin *tufState, old *kept, now time.Time) (*kept, error) {
	trusted, err := trustedmetadata.New(begin.Root)
	if err != nil {
		return nil, fmt.Errorf("read the root.json to begin with: %w", err)
	}
	trusted.RefTime = now
	next := *begin
	for _, step := range []func(context.Context, *trustedmetadata.TrustedMetadata, *tufState) error{
		m.updateRoot, m.updateTimestamp, m.updateSnapshot, m.updateTargets,
	} {
		if err := step(ctx, trusted, &next); err != nil {
			return nil, err
		}
	}
	next.Expires = trusted.Root.Signed.Expires
	for _, t := range []time.Time{
		trusted.Timestamp.Signed.Expires, trusted.Snapshot.Signed.Expires, trusted.Targets[metadata.TARGETS].Signed.Expires,
	} {
		if t.Before(next.Expires) {
			next.Expires = t
		}
	}
	k := &kept{Schema: schema, Stored: now, TUF: &next}
	if k.TrustedRoot, err = m.target(ctx, trusted, rootTarget, old.TrustedRoot); err != nil {
		return nil, err
	}
	k.SigningConfig, err = m.target(ctx, trusted, configTarget, old.SigningConfig)
	if errors.Is(err, errUnnamed) {
		return k, nil
	}
	return k, err
}

// updateRoot follows the chain of root.json files to its end (§5.3).
func (m *mirror) updateRoot(ctx context.Context, trusted *trustedmetadata.TrustedMetadata, next *tufState) error {
	for range maxRotations {
		name := strconv.FormatInt(trusted.Root.Signed.Version+1, 10) + ".root.json"
		data, err := m.get(ctx, name, maxRoot)
		if errors.Is(err, errAbsent) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := trusted.UpdateRoot(data); err != nil {
			return fmt.Errorf("verify %s: %w", name, err)
		}
		next.Root = data
	}
	return fmt.Errorf("more than %d root.json files follow the known one", maxRotations)
}

// updateTimestamp loads the last known timestamp.json, for protection against going back, then the mirror's (§5.4).
func (m *mirror) updateTimestamp(ctx context.Context, trusted *trustedmetadata.TrustedMetadata, next *tufState) error {
	if next.Timestamp != nil {
		// Expired, it still protects. One that the keys of today did not sign is dropped: that is how a repository
		// recovers from versions that an attacker drove too high (§5.3.11).
		_, _ = trusted.UpdateTimestamp(next.Timestamp)
	}
	data, err := m.get(ctx, "timestamp.json", maxTimestamp)
	if err != nil {
		return err
	}
	_, err = trusted.UpdateTimestamp(data)
	if errors.Is(err, &metadata.ErrEqualVersionNumber{}) { // nothing new; whether it is still fresh is asked next
		return nil
	}
	if err != nil {
		return fmt.Errorf("verify timestamp.json: %w", err)
	}
	next.Timestamp = data
	return nil
}

// updateSnapshot does the same with snapshot.json (§5.5). A known one that the timestamp names needs no fetching.
func (m *mirror) updateSnapshot(ctx context.Context, trusted *trustedmetadata.TrustedMetadata, next *tufState) error {
	if next.Snapshot != nil {
		if _, err := trusted.UpdateSnapshot(next.Snapshot, true); err == nil {
			return nil
		}
	}
	version := trusted.Timestamp.Signed.Meta["snapshot.json"].Version
	name, data, err := m.versioned(ctx, trusted, "snapshot.json", version, maxSnapshot)
	if err != nil {
		return err
	}
	if _, err := trusted.UpdateSnapshot(data, false); err != nil {
		return fmt.Errorf("verify %s: %w", name, err)
	}
	next.Snapshot = data
	return nil
}

// updateTargets does the same with targets.json (§5.6).
func (m *mirror) updateTargets(ctx context.Context, trusted *trustedmetadata.TrustedMetadata, next *tufState) error {
	if next.Targets != nil {
		if _, err := trusted.UpdateTargets(next.Targets); err == nil {
			return nil
		}
	}
	meta, ok := trusted.Snapshot.Signed.Meta["targets.json"]
	if !ok {
		return errors.New("verify snapshot.json: it names no targets.json")
	}
	name, data, err := m.versioned(ctx, trusted, "targets.json", meta.Version, maxTargets)
	if err != nil {
		return err
	}
	if _, err := trusted.UpdateTargets(data); err != nil {
		return fmt.Errorf("verify %s: %w", name, err)
	}
	next.Targets = data
	return nil
}

// versioned gets metadata under the name that consistent snapshots give it (§6.2).
func (m *mirror) versioned(ctx context.Context, trusted *trustedmetadata.TrustedMetadata, name string, version, most int64) (string, []byte, error) {
	if trusted.Root.Signed.ConsistentSnapshot {
		name = strconv.FormatInt(version, 10) + "." + name
	}
	data, err := m.get(ctx, name, most)
	return name, data, err
}

// errUnnamed says that a repository does not have a target.
var errUnnamed = errors.New("targets.json does not name it")

// target returns the file of that name that targets.json vouches for (§5.7): have, where that is it, else the mirror's.
// One larger than is ever read is refused before it is fetched.
func (m *mirror) target(ctx context.Context, trusted *trustedmetadata.TrustedMetadata, name string, have []byte) ([]byte, error) {
	file, ok := trusted.Targets[metadata.TARGETS].Signed.Targets[name]
	if !ok {
		return nil, fmt.Errorf("find %s: %w", name, errUnnamed)
	}
	if file.Length > trust.MaxFile {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", name, file.Length, trust.MaxFile)
	}
	sum, ok := file.Hashes["sha256"]
	if !ok {
		sum, ok = file.Hashes["sha512"]
	}
	if !ok { // without one, go-tuf would hold the file to its length alone
		return nil, fmt.Errorf("targets.json has no digest of %s that is known here", name)
	}
	if have != nil && file.VerifyLengthHashes(have) == nil {
		return have, nil
	}
	path := name
	if trusted.Root.Signed.ConsistentSnapshot {
		path = hex.EncodeToString(sum) + "." + name
	}
	data, err := m.get(ctx, "targets/"+path, file.Length)
	if err != nil {
		return nil, err
	}
	if err := file.VerifyLengthHashes(data); err != nil {
		return nil, fmt.Errorf("verify %s: %w", name, err)
	}
	return data, nil
}
