package registry

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// ReadSignature returns the signature file of the artifact at path, or at signature if that is not empty; nil if there
// is none. Nothing in it is checked but its form.
func ReadSignature(path, signature string) (attestations.Bundle, error) {
	places, err := PlacesOf(path)
	if err != nil {
		return nil, err
	}
	at := places.Signature
	if signature != "" {
		at = signature
	}
	raw, err := readReserved(at, attestations.MaxSignatureBundle, signature != "" && exists(at))
	if err != nil || raw == nil {
		return nil, err
	}
	if err := checkBundle(raw); err != nil {
		return nil, &chain.MalformedError{Where: at, Err: err}
	}
	return raw, nil
}

// ReadBundles returns the bundles in one file: a signature, or claims, one a line.
func ReadBundles(path string) ([]chain.Item, error) {
	raw, err := readReserved(path, maxClaims, true)
	if err != nil {
		return nil, err
	}
	return splitBundles(path, raw)
}

func splitBundles(where string, raw []byte) ([]chain.Item, error) {
	if checkBundle(raw) == nil {
		return []chain.Item{{Where: where, Bundle: raw}}, nil
	}
	return splitClaims(where, raw)
}

// RemoveLeftovers removes what a writer of the evidence beside the artifact at path left behind when it was killed, so
// that nobody takes it for content. A writer that is at work is waited for.
func RemoveLeftovers(ctx context.Context, path string) error {
	places, err := PlacesOf(path)
	if err != nil {
		return err
	}
	for _, at := range []string{places.Signature, places.Claims} {
		left := filepath.Join(filepath.Dir(at), temporaryPrefix+filepath.Base(at))
		if _, err := os.Lstat(left); err != nil {
			continue
		}
		// Rewriting nothing takes the lock and clears what was left.
		if err := rewrite(ctx, at, func([]byte) ([]byte, error) { return nil, nil }); err != nil {
			return fmt.Errorf("remove %q, left by a writer that was killed: %w", left, err)
		}
	}
	return nil
}

// StoreSignature writes a signature and the claims that go with it beside the artifact at path, and returns where the
// signature is. Its place is signature, or the artifact's own signature file if that is empty.
//
// A signature that is there already is replaced if mine says that it is the same signer's; a stranger's stays, and the
// new one becomes a line of the claims. Where a stranger's signature does not leave the claims file out, claims go
// beside the directory instead of into it, so that the stranger's signature still holds.
func StoreSignature(ctx context.Context, path, signature string, bundle []byte, claims [][]byte, mine func(old attestations.Bundle) bool) (string, error) {
	places, err := PlacesOf(path)
	if err != nil {
		return "", err
	}
	at := places.Signature
	if signature != "" {
		at = signature
	}
	old, err := ReadSignature(path, signature)
	if err != nil {
		return "", fmt.Errorf("store signature: what lies in its place is not replaced: %w", err)
	}
	if old == nil || mine(old) {
		if err := WriteSignature(ctx, at, bundle); err != nil {
			return "", err
		}
		if len(claims) == 0 {
			return at, nil
		}
		return at, AppendClaims(ctx, places.Claims, claims...)
	}
	into := places.Claims
	if places.Outside != "" && !leavesRoom(old) {
		into = places.Outside
	}
	return into, AppendClaims(ctx, into, append([][]byte{bundle}, claims...)...)
}

// leavesRoom reports whether a claims file inside the directory is left out of what the signature covers.
func leavesRoom(signature attestations.Bundle) bool {
	u, err := signature.Peek()
	return err == nil && slices.Contains(u.IgnorePaths, manifest.ClaimsName)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
