package transfer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

// trial is one operation that met one fault.
type trial struct {
	*artifact
	ref      registry.Ref
	registry *lab.Registry // behind the fault
	fault    lab.Fault
	timeout  time.Duration
	dir      string // for pull
	more     []byte // for attach
	number   int    // of the fault
}

// operation is one of those that go over the network. run does it once and checks what it left; it returns whether it succeeded.
type operation struct {
	name  string
	empty bool // it begins with an empty registry
	run   func(ctx context.Context, t *testing.T, x *trial) bool
}

var operations = []operation{
	{"push", true, runPush},
	{"verify", false, runVerify},
	{"verify by digest", false, runVerifyPinned},
	{"pull", false, runPull},
	{"attach", false, runAttach},
}

// runPush: whoever sees the tag sees everything, and a success is one.
func runPush(ctx context.Context, t *testing.T, x *trial) bool {
	p, err := x.push(ctx, x.ref, options(x.timeout))
	mustSayWhy(t, ctx, err)
	_, tagged := x.registry.Tags(repository)[tag]
	if err == nil && !tagged && x.fault.Name != "created" { // a lie that only a reader finds out
		t.Error("pushed, and the tag is not there")
	}
	if tagged {
		x.mustHaveAll(t, x.registry)
	}
	if err == nil && (p.ID != x.canonical.ID || p.Pinned != x.ref.Pinned(x.canonical.ID)) {
		t.Errorf("pushed as %+v", p)
	}
	return err == nil && tagged
}

// runVerify: a yes is true, and nothing that merely broke is a no.
func runVerify(ctx context.Context, t *testing.T, x *trial) bool {
	d, stored, err := x.verify(ctx, x.ref, options(x.timeout))
	if stored != nil {
		defer stored.Close()
	}
	mustSayWhy(t, ctx, err)
	x.judge(t, d)
	return err == nil && d.Verdict() == policy.Yes
}

// runVerifyPinned: a reference by digest names one manifest only, so that no lie about it can be a no either.
func runVerifyPinned(ctx context.Context, t *testing.T, x *trial) bool {
	pinned := *x
	pinned.ref = mustRef(t, x.ref.Pinned(x.canonical.ID))
	d, stored, err := pinned.verify(ctx, pinned.ref, options(x.timeout))
	if stored != nil {
		defer stored.Close()
		if stored.Digest != x.canonical.ID {
			t.Errorf("found %s", stored.Digest)
		}
	}
	mustSayWhy(t, ctx, err)
	pinned.judge(t, d)
	if d.Verdict() == policy.No && slices.ContainsFunc(d.Reasons(), func(r policy.Reason) bool { return r != policy.NoEvidence }) {
		t.Errorf("a no because of %v, and this digest can only be the artifact's", d.Reasons())
	}
	return err == nil && d.Verdict() == policy.Yes
}

func (x *trial) judge(t *testing.T, d policy.Decision) {
	t.Helper()
	switch d.Verdict() {
	case policy.Yes:
		x.mustBeTrue(t, d, x.ref)
	case policy.No:
		if !x.fault.Lies {
			t.Errorf("what merely broke is a no: %v", d.Reasons())
		}
		fallthrough
	default:
		if len(d.Reasons()) == 0 {
			t.Error("no yes, and no reason")
		}
	}
}

// runPull: DIR is whole or not there.
func runPull(ctx context.Context, t *testing.T, x *trial) bool {
	d, err := x.pull(ctx, x.ref, x.dir, options(x.timeout), 1)
	mustSayWhy(t, ctx, err)
	x.judge(t, d)
	pulled := err == nil && d.Verdict() == policy.Yes
	x.checkTarget(t, x.dir, pulled)
	return pulled
}

// runAttach: what was there stays, and what was acknowledged is there.
func runAttach(ctx context.Context, t *testing.T, x *trial) bool {
	_, err := x.attach(ctx, x.ref, x.more, options(x.timeout))
	mustSayWhy(t, ctx, err)
	if err == nil {
		x.mustHaveAll(t, x.registry, x.more)
		return true
	}
	found := x.bundles(t, x.registry)
	for _, e := range x.evidence {
		if !slices.ContainsFunc(found, func(f []byte) bool { return string(f) == string(e.Bundle) }) {
			t.Errorf("%s is gone", e.Where)
		}
	}
	return false
}

// mustSayWhy fails if an operation did not end by itself, or ended with an error that says nothing.
func mustSayWhy(t *testing.T, ctx context.Context, err error) {
	t.Helper()
	if ctx.Err() != nil {
		t.Fatalf("it does not end (%v)", err)
	}
	var known *registry.Error
	if err != nil && (!errors.As(err, &known) || known.Reason() == "" || known.Reason().Verdict() != policy.Unknown) {
		t.Errorf("error %q is of no kind", err)
	}
}

// TestEveryOperationMeetsEveryFaultAtEveryRequest is the heart of this package. How many of the requests is for stride
// to say.
func TestEveryOperationMeetsEveryFaultAtEveryRequest(t *testing.T) {
	before := goleak.IgnoreCurrent()
	a := newArtifact(t, small())
	more := a.claim(t, 2)
	t.Run("all", func(t *testing.T) {
		for kind, o := range kinds {
			full, empty := a.stock(t, o), lab.New(o)
			for _, op := range operations {
				stock := full
				if op.empty {
					stock = empty
				}
				for i, f := range slices.Concat(lab.Slow(), lab.Broken(), lab.Lies()) {
					slow := slices.ContainsFunc(lab.Slow(), func(s lab.Fault) bool { return s.Name == f.Name })
					t.Run(op.name+"/"+kind+"/"+f.Name, func(t *testing.T) {
						t.Parallel()
						sweep(t, op, stock, trial{artifact: a, fault: f, more: more, number: i}, slow)
					})
				}
			}
		}
	})
	goleak.VerifyNone(t, before)
}

// stride is how many requests lie between two that one fault strikes. All of them are struck with HALLMARK_E2E=1, which
// takes minutes. Otherwise the next fault begins one request later: each fault is met, and each request meets some.
func stride() int {
	switch {
	case os.Getenv("HALLMARK_E2E") != "":
		return 1
	case testing.Short():
		return 15
	}
	return 5
}

// sweep lets a fault strike at the requests that the operation makes, one operation each.
func sweep(t *testing.T, op operation, stock *lab.Registry, x trial, slow bool) {
	proxy := x.prepare(t, stock)
	proxy.Set(lab.Rule{Fault: x.fault, At: -1})
	if !attempt(t, op, &x, 0) {
		t.Fatal("without a fault it fails")
	}
	requests := proxy.Seen()
	step := stride()
	for n := 1 + x.number%min(step, max(requests, 1)); n <= requests; n += step {
		proxy := x.prepare(t, stock)
		if slow {
			x.timeout = short
		}
		proxy.Set(lab.Rule{Fault: x.fault, At: n})
		ok := attempt(t, op, &x, n)
		proxy.Set()
		if again := x; !ok {
			again.fault, again.timeout = lab.Fault{Name: "none"}, long
			if !attempt(t, op, &again, n) {
				t.Errorf("request %d: it fails also without the fault", n)
			}
		}
		if t.Failed() {
			t.Logf("requests of the second try: %s", list(proxy.Requests()))
			return // one request's story is enough
		}
	}
}

// prepare puts the trial before a registry of its own.
func (x *trial) prepare(t *testing.T, stock *lab.Registry) *lab.Proxy {
	t.Helper()
	x.registry = stock.Clone()
	proxy := lab.NewProxy(x.registry)
	x.ref = refAt(t, lab.Serve(t, proxy))
	x.dir = filepath.Join(t.TempDir(), "out")
	x.timeout = long
	return proxy
}

func attempt(t *testing.T, op operation, x *trial, n int) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	failed := t.Failed()
	ok := op.run(ctx, t, x)
	if t.Failed() && !failed {
		t.Logf("that was at request %d, fault %q", n, x.fault.Name)
	}
	return ok
}

func list(requests []lab.Request) string {
	var b strings.Builder
	for _, r := range requests {
		b.WriteString("\n  " + r.String())
	}
	return b.String()
}
