package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/test/lab"
)

// TestTwoWhoRevokeAtOnceLoseNothing has somebody else revoke while the next list is on its way, before it takes its place and
// after. It is said, and done again both are on the list.
func TestTwoWhoRevokeAtOnceLoseNothing(t *testing.T) {
	for name, c := range map[string]struct{ method, part, says string }{
		"before": {http.MethodPost, "/blobs/uploads/", "nothing was changed"},
		"after":  {http.MethodHead, "/manifests/", "this one was stored"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			g := lab.New(lab.Options{Referrers: true})
			proxy := lab.NewProxy(g)
			ours, theirs := lab.Serve(t, proxy)+"/acme/revoked:latest", lab.Serve(t, g)+"/acme/revoked:latest"
			mustRun(t, "keygen", "data")
			mustRun(t, "revoke", "--init", "--list", theirs, "--private-key", "data.key")
			revoke := func(what, list string) (code int, errs string) {
				code, _, errs = hallmark(t, "revoke", "--builder", "https://"+what+".example", "--reason", "broken into", "--list", list, "--private-key", "data.key")
				return code, errs
			}
			at := 1
			if name == "after" { // the second question what the tag names
				at = 2
			}
			var other int
			proxy.Set(lab.Rule{Fault: lab.Meanwhile("another revokes", func() { other, _ = revoke("theirs", theirs) }).At(c.method, c.part), At: at})
			code, errs := revoke("ours", ours)
			if proxy.Struck() != 1 || other != exitDone {
				t.Fatalf("the other came %d times, exit code %d", proxy.Struck(), other)
			}
			if code != exitNo || !strings.Contains(errs, "somebody else wrote another list at the same time") || !strings.Contains(errs, c.says) || !strings.Contains(errs, "hint: run it again") {
				t.Errorf("exit code %d\n%s", code, errs)
			}
			proxy.Set()
			if code, errs := revoke("ours", ours); name == "before" && code != exitDone || name == "after" && (code != exitNo || !strings.Contains(errs, "revoked already")) {
				t.Errorf("again: exit code %d\n%s", code, errs)
			}
			for _, what := range []string{"ours", "theirs"} {
				if code, errs := revoke(what, ours); code != exitNo || !strings.Contains(errs, "revoked already") {
					t.Errorf("%s is not on the list: exit code %d\n%s", what, code, errs)
				}
			}
		})
	}
}
