package main

import (
	"context"

	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// openKey opens the private key that --private-key names, in a file or elsewhere.
func (o *signFlags) openKey(ctx context.Context, s streams) (signer.PrivateKey, error) {
	ask := func() ([]byte, error) { return o.password(s) }
	if signer.IsKeyURI(o.PrivateKey) {
		return signer.OpenKeyURI(ctx, o.PrivateKey, signer.KeyURIOptions{
			Password: ask, Timeout: o.Timeout, Warn: func(text string) { warn(s.err, text) },
		})
	}
	data, err := readSmall(o.PrivateKey)
	if err != nil {
		return nil, err
	}
	key, err := signer.ParsePrivateKey(data, ask)
	if err != nil {
		return nil, usagef("--private-key %s: %w", o.PrivateKey, err)
	}
	return key, nil
}

// addWitnesses has by's signatures timestamped and logged where flags name servers for it.
func (o *signFlags) addWitnesses(by signer.Signer) (signer.Signer, error) {
	if len(o.TimestampURLs) == 0 && o.SigningConfig == "" {
		return by, nil
	}
	w := signer.WitnessOptions{TimestampURLs: o.TimestampURLs, Timeout: o.Timeout}
	var err error
	if w.TrustedRoot, err = loadSigstore(o.TrustedRoot, o.TrustDir); err != nil {
		return nil, err
	}
	if o.SigningConfig != "" {
		if w.SigningConfig, err = readSmall(o.SigningConfig); err != nil {
			return nil, err
		}
	}
	witnessed, err := signer.NewWitnessed(by, w)
	if err != nil {
		return nil, usageError{err}
	}
	return witnessed, nil
}

// ownRoots opens what by signed before, whoever saw it then: a key is the same key under another timestamp authority.
func ownRoots(by signer.Signer) trust.Roots {
	roots := by.Roots()
	if len(roots.Keys)+len(roots.Authorities) > 0 {
		roots.Sigstore = nil
	}
	return roots
}
