package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/pkg/trust/store"
)

// bindTrustDir binds the directory of the imported trusted root.
func bindTrustDir(f *pflag.FlagSet, dir *string) {
	f.StringVar(dir, "trust-dir", "", "`DIRECTORY` of the imported trusted root, instead of the user's own configuration")
}

// trustStore is where the imported trusted root is kept.
func trustStore(dir string) (store.Store, error) {
	if dir == "" {
		var err error
		if dir, err = store.DefaultDir(); err != nil {
			return store.Store{}, hintError{err, "--trust-dir DIRECTORY"}
		}
	}
	return store.Store{Dir: dir}, nil
}

// loadSigstore is the trusted root in the file at path, or where none is named the imported one from dir. There is no
// third place to look.
func loadSigstore(path, dir string) (*trust.Sigstore, error) {
	if path != "" {
		return loadSigstoreFile(path)
	}
	r, err := loadImported(dir)
	if err != nil {
		return nil, err
	}
	return r.Sigstore, nil
}

// loadImported is the imported trusted root, with its signing config.
func loadImported(dir string) (*store.Root, error) {
	var r *store.Root
	at, err := trustStore(dir)
	if err == nil {
		r, err = at.Current()
	} else { // whoever has no configuration has imported nothing into it
		err = fmt.Errorf("%w: %w", store.ErrNone, err)
	}
	switch {
	case errors.Is(err, store.ErrNone):
		return nil, usageError{hintError{err, "say which Sigstore instance counts: hallmark trust update, hallmark trust import FILE, or --trusted-root FILE"}}
	case errors.Is(err, store.ErrStale):
		return nil, hintError{err, "hallmark trust update"}
	}
	return r, err
}

func loadSigstoreFile(path string) (*trust.Sigstore, error) {
	data, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	s, err := trust.LoadSigstore(data)
	if err != nil {
		return nil, usagef("--trusted-root %s: %w", path, err)
	}
	return s.WithOrigin(trust.FromFile, path), nil
}

// thresholdFlags is how many distinct parties must have seen a signature.
type thresholdFlags struct {
	Logs  int
	Times int
}

func (t *thresholdFlags) bind(f *pflag.FlagSet) {
	f.IntVar(&t.Logs, "log-threshold", 1, "`NUMBER` of distinct parties that must have logged the signature; above 1 also with keys and certificates")
	f.IntVar(&t.Times, "timestamp-threshold", 1, "`NUMBER` of distinct parties that must vouch for its time, by log or timestamp; above 1 also with keys and certificates")
}

func (t *thresholdFlags) apply(p *policy.Policy) error {
	if t.Logs < 1 || t.Times < 1 {
		return usagef("--log-threshold and --timestamp-threshold are numbers above 0")
	}
	p.LogThreshold, p.TimeThreshold = t.Logs, t.Times
	return nil
}
