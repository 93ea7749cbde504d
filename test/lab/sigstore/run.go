package sigstore

import (
	"context"
	"os"
	"sync"
	"testing"
)

// installed is the outcome of installing the servers, once for all tests of a program.
var installed = sync.OnceValues(func() (Tools, error) { return Install(context.Background()) })

// Run starts a Sigstore for a test and stops it when the test ends. It is for HALLMARK_E2E=1; where the servers cannot
// be had the test is skipped, and with HALLMARK_CI=1 fails.
func Run(t testing.TB, o Options) *World {
	t.Helper()
	if os.Getenv("HALLMARK_E2E") != "1" {
		t.Skip("needs sigstore's servers: set HALLMARK_E2E=1")
	}
	tools, err := installed()
	if err != nil && os.Getenv("HALLMARK_CI") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := Start(t.Context(), tools, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}
