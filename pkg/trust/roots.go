package trust

import (
	"errors"
	"time"
)

// MaxFile caps every trust file that is read: keys, certificates, trusted roots. In bytes.
const MaxFile = 4 << 20

// ErrNobody is returned where nobody at all is trusted: there is no "any signer".
var ErrNobody = errors.New("nobody to trust was given")

// Roots is what signatures are checked against. The zero value trusts nobody. A Roots is read-only once built and may
// be used by several goroutines.
type Roots struct {
	Keys        []Key            // public keys
	Authorities []Authority      // CAs for the certificate method (OMS §4.1)
	Sigstore    *Sigstore        // keyless; nil: no keyless bundle opens
	Now         func() time.Time // the clock for certificates without a trusted time; nil: time.Now
}

// Empty reports whether r trusts nobody.
func (r Roots) Empty() bool {
	return len(r.Keys) == 0 && len(r.Authorities) == 0 && r.Sigstore == nil
}

// Time is the present by r's clock.
func (r Roots) Time() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

// Origin says which Sigstore trusted root r has; nil where it has none.
func (r Roots) Origin() *Origin {
	if r.Sigstore == nil {
		return nil
	}
	o := r.Sigstore.Origin()
	return &o
}
