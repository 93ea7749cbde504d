package chain

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// MaxOpenings is how many bytes of bundles an Openings remembers; what came of them takes several times as much memory.
const MaxOpenings = 8 << 20

// Openings remembers what came of opening bundles, for whoever decides on many artifacts that have inputs in common, or on
// one at several times. Only what does not depend on the clock is remembered: that a bundle opened, and not by a
// certificate whose time nobody vouches for. The zero Openings is ready, may be used by several goroutines, and forgets
// everything when it is used with another trust.
type Openings struct {
	mu    sync.Mutex
	trust string
	kept  map[opening]opened
	bytes int
}

// opening is a bundle in its place, and how far it was read.
type opening struct {
	sum    [sha256.Size]byte
	where  string
	claims bool
}

// open is openClaim, or open without claims, as far as it is not remembered. A nil o remembers nothing.
func (o *Openings) open(item Item, roots trust.Roots, claims bool) opened {
	read := open
	if claims {
		read = openClaim
	}
	if o == nil {
		return read(item, roots)
	}
	key := opening{sha256.Sum256(item.Bundle), item.Where, claims}
	whom := trustOf(roots)
	o.mu.Lock()
	if o.trust != whom {
		o.trust, o.kept, o.bytes = whom, nil, 0
	}
	b, ok := o.kept[key]
	o.mu.Unlock()
	if ok {
		return b.clone()
	}
	b = read(item, roots)
	if b.attestation == nil || b.evidence.Time == nil && b.evidence.Signer.Method == trust.MethodCertificate {
		return b
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.trust == whom && len(item.Bundle) <= MaxOpenings {
		if o.kept == nil || o.bytes+len(item.Bundle) > MaxOpenings {
			o.kept, o.bytes = map[opening]opened{}, 0
		}
		o.kept[key] = b.clone()
		o.bytes += len(item.Bundle)
	}
	return b
}

// clone is b without lists that somebody else may add to.
func (b opened) clone() opened {
	b.evidence.Findings, b.notes = slices.Clone(b.evidence.Findings), slices.Clone(b.notes)
	return b
}

// trustOf changes with what opening a bundle depends on.
func trustOf(r trust.Roots) string {
	var all strings.Builder
	for _, k := range r.Keys {
		fmt.Fprintf(&all, "key %s\n", k.Fingerprint())
	}
	for _, a := range r.Authorities {
		fmt.Fprintf(&all, "ca %s\n", a.Fingerprint())
	}
	if r.Sigstore != nil {
		fmt.Fprintf(&all, "sigstore %p\n", r.Sigstore)
	}
	return all.String()
}
