package transfer

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
	"github.com/hallmark-project/hallmark/test/lab/distribution"
	"github.com/hallmark-project/hallmark/test/program"
)

// serveDistribution runs the registry that most others are made of on loopback until the test ends, and returns
// HOST:PORT. It is for HALLMARK_E2E=1; where it cannot be had, the test is skipped, and with HALLMARK_CI=1 fails.
func serveDistribution(t *testing.T) string {
	t.Helper()
	if os.Getenv("HALLMARK_E2E") == "" {
		t.Skip("needs the distribution registry: set HALLMARK_E2E=1")
	}
	binary, err := program.Install(t.Context(), distribution.Package)
	if err != nil && os.Getenv("HALLMARK_CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	server, err := distribution.Start(t.Context(), binary, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server.Host
}

func TestDistributionKeepsArtifactAndEvidence(t *testing.T) {
	host := serveDistribution(t)
	a := newArtifact(t, large())
	ref := refAt(t, host)
	for _, round := range []string{"first", "second"} {
		p, err := a.push(t.Context(), ref, options(long))
		if err != nil || p.ID != a.canonical.ID || p.Evidence != 2 {
			t.Fatalf("%s push: %+v %v", round, p, err)
		}
		more := a.claim(t, 2)
		if _, err := a.attach(t.Context(), ref, more, options(long)); err != nil {
			t.Fatal(err)
		}
		d, stored, err := a.verify(t.Context(), ref, options(long))
		if err != nil || d.Verdict() != policy.Yes {
			t.Fatalf("%s because of %v (%v)", d.Verdict(), d.Reasons(), err)
		}
		_ = stored.Close()
		a.mustBeTrue(t, d, ref)
		dir := filepath.Join(t.TempDir(), "out")
		if _, err := a.pull(t.Context(), ref, dir, options(long), 0); err != nil {
			t.Fatal(err)
		}
		a.checkTarget(t, dir, true)
	}
}

// TestDistributionMeetsFaults puts the proxy before the real thing: a cut upload and a cut download.
func TestDistributionMeetsFaults(t *testing.T) {
	proxy := lab.NewProxy(lab.Reverse(serveDistribution(t)))
	ref := refAt(t, lab.Serve(t, proxy))
	a := newArtifact(t, large())
	proxy.Set(lab.Rule{Fault: lab.CutUpload(largeSize/2).At("", "/blobs/uploads/"), At: 1})
	if _, err := a.push(t.Context(), ref, options(long)); err != nil {
		t.Errorf("push over a cut: %v", err)
	}
	proxy.Set()
	if _, err := a.push(t.Context(), ref, options(long)); err != nil {
		t.Fatal(err)
	}
	proxy.Set(lab.Rule{Fault: lab.CutAfter(largeSize/2).At(http.MethodGet, a.weights()), At: 1})
	dir := filepath.Join(t.TempDir(), "out")
	d, err := a.pull(t.Context(), ref, dir, options(long), 0)
	if err != nil || d.Verdict() != policy.Yes {
		t.Errorf("pull over a cut: %s %v", d.Verdict(), err)
	}
	a.checkTarget(t, dir, err == nil)
}

// TestParallelAttachesToDistributionLoseNothing: eight writers at once, fifty times.
func TestParallelAttachesToDistributionLoseNothing(t *testing.T) {
	host := serveDistribution(t)
	rounds := 50
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		a := newArtifact(t, map[string]string{"a.bin": fmt.Sprint(round)})
		attachAtOnce(t, a, mustRef(t, fmt.Sprintf("%s/team/r%d:%s", host, round, tag)))
	}
}

// TestParallelAttachesLoseNothing is the same against the registry of test/lab.
func TestParallelAttachesLoseNothing(t *testing.T) {
	for kind, o := range kinds {
		t.Run(kind, func(t *testing.T) {
			for round := range 5 {
				a := newArtifact(t, map[string]string{"a.bin": fmt.Sprint(round)})
				attachAtOnce(t, a, refAt(t, lab.Serve(t, lab.New(o))))
			}
		})
	}
}

const writers = 8

// attachAtOnce pushes an artifact and lets eight clients attach one claim each at the same time.
func attachAtOnce(t *testing.T, a *artifact, ref registry.Ref) {
	t.Helper()
	if _, err := a.push(t.Context(), ref, options(long)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range writers {
		bundle := a.claim(t, 10+i)
		all.Go(func() {
			<-start
			if _, err := a.attach(context.Background(), ref, bundle, options(long)); err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	close(start)
	all.Wait()
	repo, err := registry.Open(ref, options(long))
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	items, err := repo.Bundles(t.Context(), a.canonical.ID)
	if err != nil || len(items) != writers+len(a.evidence) {
		t.Errorf("%s: %d bundles are left of %d (%v)", ref, len(items), writers+len(a.evidence), err)
	}
}
