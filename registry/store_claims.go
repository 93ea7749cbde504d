package registry

import (
	"context"
	"slices"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
)

// StoreClaims appends bundles to the claims of the artifact at path, and returns the claims file: inside a directory, or
// beside it where its signature does not leave that file out, so that the signature still holds. A signature file of
// another name is signature; empty: the artifact's own.
func StoreClaims(ctx context.Context, path, signature string, bundles ...attestations.Bundle) (string, error) {
	places, err := PlacesOf(path)
	if err != nil {
		return "", err
	}
	old, err := ReadSignature(path, signature)
	if err != nil {
		return "", err
	}
	into := places.Claims
	if places.Outside != "" && old != nil && !leavesRoom(old) {
		into = places.Outside
	}
	raw := make([][]byte, len(bundles))
	for i, b := range bundles {
		raw[i] = b
	}
	return into, AppendClaims(ctx, into, raw...)
}

// SplitRefusals divides evidence into what may be attached to an artifact in a registry and what says no, which would be
// taken for a yes there by tools that look at signatures alone; see attestations.Bundle.SaysNo.
func SplitRefusals(evidence []chain.Item) (attach, refusals []chain.Item) {
	attach = slices.Clone(evidence)
	attach = slices.DeleteFunc(attach, func(i chain.Item) bool {
		no := i.Bundle.SaysNo()
		if no {
			refusals = append(refusals, i)
		}
		return no
	})
	return attach, refusals
}
