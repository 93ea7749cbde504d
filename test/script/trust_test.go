package script

import (
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hallmark-project/hallmark/test/lab/tuf"
)

// The program goes by the machine's clock: what it is to find good or expired is so in any year that comes.
var (
	longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	farOff  = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
)

// tufServer starts a TUF repository with a trusted root and a signing config: tuf-server TRUSTED_ROOT SIGNING_CONFIG. Its
// address is in $TUF, the root.json that trust in it begins with in tuf-root.json. Without files it makes a trusted root
// and has no signing config. With "expired" before them, what is published has expired.
func tufServer(t *testing.T) func(ts *testscript.TestScript, neg bool, args []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		expires := farOff
		if len(args) > 0 && args[0] == "expired" {
			args, expires = args[1:], longAgo
		}
		if neg || len(args) > 2 {
			ts.Fatalf("usage: tuf-server [expired] [TRUSTED_ROOT [SIGNING_CONFIG]]")
		}
		data := tuf.TrustedRoot(t, "made.test", longAgo, farOff)
		if len(args) > 0 {
			data = []byte(ts.ReadFile(args[0]))
		}
		repo := tuf.New(t, farOff, expires)
		if len(args) > 1 {
			repo.Config = []byte(ts.ReadFile(args[1]))
		}
		repo.Publish(data)
		ts.Setenv("TUF", repo.URL)
		ts.Check(os.WriteFile(ts.MkAbs("tuf-root.json"), repo.Anchor(), 0o644))
		ts.Check(os.WriteFile(ts.MkAbs("made.json"), data, 0o644))
	}
}
