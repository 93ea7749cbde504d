package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// Caps on evidence beside files.
const (
	maxClaims     = maxEvidence // bytes of a claims file
	maxClaimLines = 10_000      // bundles in a claims file
)

// Places is where the evidence of an artifact on disk lies.
type Places struct {
	Signature string // DIR/model.sig, or FILE.sig beside a single file
	Claims    string // DIR/claims.sig, or FILE.claims.sig beside a single file
	Outside   string // DIR.claims.sig, for claims beside a signature that does not leave room inside; empty for a single file
}

// PlacesOf returns the places for the artifact at path. A path that is not there is an error.
func PlacesOf(artifact string) (Places, error) {
	info, err := os.Stat(artifact)
	if err != nil {
		return Places{}, fmt.Errorf("find evidence: %w", err)
	}
	if !info.IsDir() {
		return Places{Signature: artifact + ".sig", Claims: artifact + "." + manifest.ClaimsName}, nil
	}
	whole, err := filepath.Abs(artifact) // "." and "DIR/" have a name too
	if err != nil {
		return Places{}, fmt.Errorf("find evidence: %w", err)
	}
	return Places{
		Signature: filepath.Join(artifact, manifest.SignatureName),
		Claims:    filepath.Join(artifact, manifest.ClaimsName),
		Outside:   whole + "." + manifest.ClaimsName,
	}, nil
}

// EvidenceOptions says where else to look.
type EvidenceOptions struct {
	// Signature, if not empty, is read in place of the artifact's own signature file, and must be there. The caller
	// named it, so links to it are followed.
	Signature string
}

// Beside is the source of the evidence that lies in or beside an artifact on disk.
type Beside struct {
	Path    string
	Options EvidenceOptions
}

// Evidence calls ReadEvidence.
func (b Beside) Evidence(ctx context.Context) ([]chain.Item, error) {
	return ReadEvidence(ctx, b.Path, b.Options)
}

// ReadEvidence returns the bundles that lie in or beside the artifact at path, a directory or a single file: its
// signature first, then the lines of its claims files. Files that are not there are no error.
//
// The names are reserved: a file that bears one and is not a regular file, is larger than its cap (OMS bundle 64 MiB,
// others 8 MiB), or holds anything but Sigstore bundles, strictly formed JSON, one a line in claims files, is a
// *chain.MalformedError. So nothing else can hide there.
func ReadEvidence(ctx context.Context, artifact string, o EvidenceOptions) ([]chain.Item, error) {
	places, err := PlacesOf(artifact)
	if err != nil {
		return nil, err
	}
	var items []chain.Item
	if o.Signature != "" {
		places.Signature = o.Signature
	}
	signature, err := readReserved(places.Signature, attestations.MaxSignatureBundle, o.Signature != "")
	switch {
	case err != nil:
		return nil, err
	case signature != nil:
		where := filepath.Base(places.Signature)
		if o.Signature != "" {
			where = o.Signature
		}
		if err := checkBundle(signature); err != nil {
			return nil, &chain.MalformedError{Where: where, Err: err}
		}
		items = append(items, chain.Item{Where: where, Bundle: signature})
	}
	for _, p := range []string{places.Claims, places.Outside} {
		if p == "" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		claims, err := readReserved(p, maxClaims, false)
		if err != nil {
			return nil, err
		}
		lines, err := splitClaims(filepath.Base(p), claims)
		if err != nil {
			return nil, err
		}
		items = append(items, lines...)
	}
	return items, nil
}

// readReserved reads a file of a reserved name; nil where there is none. One that the caller named must be there.
func readReserved(at string, limit int64, named bool) ([]byte, error) {
	where := filepath.Base(at)
	if named {
		where = at
		resolved, err := filepath.EvalSymlinks(at)
		if err != nil {
			return nil, fmt.Errorf("read evidence: %w", err)
		}
		at = resolved
	}
	f, opened, err := openLooked(
		func() (fs.FileInfo, error) { return os.Lstat(at) },
		func(flags int) (*os.File, error) { return os.OpenFile(at, flags, 0) },
	)
	var other *notRegularError
	switch {
	case (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENAMETOOLONG)) && !named:
		return nil, nil // a name that cannot be is not there
	case errors.As(err, &other):
		return nil, &chain.MalformedError{Where: where, Err: other}
	case err != nil:
		return nil, fmt.Errorf("read evidence %q: %w", at, err)
	}
	defer f.Close()
	if opened.Size() > limit {
		return nil, &chain.MalformedError{Where: where, Err: tooLarge(fmt.Sprintf("%d bytes", opened.Size()), limit)}
	}
	raw, err := readCapped(f, fmt.Sprintf("%q", at), limit)
	if err != nil {
		return nil, fmt.Errorf("read evidence: %w", err)
	}
	if raw == nil {
		raw = []byte{}
	}
	return raw, nil
}

// splitClaims returns the bundles of a claims file, which has one on every line.
func splitClaims(where string, claims []byte) ([]chain.Item, error) {
	var items []chain.Item
	for n := 1; len(claims) > 0; n++ {
		line, rest, _ := bytes.Cut(claims, []byte{'\n'})
		here := fmt.Sprintf("%s line %d", where, n)
		if n > maxClaimLines {
			return nil, &chain.MalformedError{Where: where, Err: tooLarge("it has more lines", maxClaimLines)}
		}
		if err := checkBundle(line); err != nil {
			return nil, &chain.MalformedError{Where: here, Err: err}
		}
		items = append(items, chain.Item{Where: here, Bundle: line[:len(line):len(line)]})
		claims = rest
	}
	return items, nil
}
