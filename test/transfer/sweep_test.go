package transfer

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hallmark-project/hallmark/attestations/chain"
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
	dir      string        // for pull
	more     []byte        // for attach
	ca       string        // file of the authority of the registry's certificate; empty: no TLS
	source   *lab.Registry // a sound one that has the artifact
	layout   string        // a folder that has it too
	other    *lab.Registry // a sound one to copy to; nil until then
}

func (x *trial) options() registry.Options {
	o := options(x.timeout)
	o.RegistryCA = x.ca
	return o
}

// operation is one of those that go over the network. run does it once and checks what it left; it returns whether it succeeded.
type operation struct {
	name string
	only string // the one kind of registry that it is tried with; empty: all
	tls  bool
	// stock is what the registry holds at the start, made of one that has the artifact; nil: just that.
	stock func(full *lab.Registry, o lab.Options) *lab.Registry
	run   func(ctx context.Context, t *testing.T, x *trial) bool
}

var operations = []operation{
	{name: "push", stock: nothing, run: runPush},
	{name: "verify", run: runVerify},
	{name: "verify by digest", run: runVerifyPinned},
	{name: "pull", run: runPull},
	{name: "attach", run: runAttach},
}

// begin returns the registry that an operation begins with.
func (op operation) begin(full *lab.Registry, o lab.Options) *lab.Registry {
	if op.stock == nil {
		return full
	}
	return op.stock(full, o)
}

// runPush: whoever sees the tag sees everything, and a success is one.
func runPush(ctx context.Context, t *testing.T, x *trial) bool {
	return x.pushed(ctx, t, registry.PushOptions{Workers: 1})
}

func (x *trial) pushed(ctx context.Context, t *testing.T, how registry.PushOptions) bool {
	t.Helper()
	p, err := registry.Publish(ctx, x.artifact.dir, x.manifest, x.evidence, x.ref, registry.PublishOptions{Options: x.options(), PushOptions: how})
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
	d, stored, err := x.verify(ctx, x.ref, x.options())
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
	d, stored, err := pinned.verify(ctx, pinned.ref, x.options())
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
	d, err := x.pull(ctx, x.ref, x.dir, x.options(), 1)
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
	x.mustHold(t, x.registry, x.evidence)
	return false
}

// mustHold fails unless a registry has these bundles, whatever else it has.
func (a *artifact) mustHold(t *testing.T, g *lab.Registry, want []chain.Item) {
	t.Helper()
	found := a.bundles(t, g)
	for _, e := range want {
		if !slices.ContainsFunc(found, func(f []byte) bool { return string(f) == string(e.Bundle) }) {
			t.Errorf("%s is not there", e.Where)
		}
	}
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
	everyFault(t, operations, stride())
}

// TestEveryCarrierMeetsEveryFaultAtEveryRequest is the same for the operations of carry_test.go, which make more requests
// together: with a stride, each fault strikes once.
func TestEveryCarrierMeetsEveryFaultAtEveryRequest(t *testing.T) {
	step := stride()
	if os.Getenv("HALLMARK_CI") != "" { // all of it takes longer than there is
		step = max(step, 5)
	}
	if step > 1 {
		step = 1 << 20
	}
	everyFault(t, carriers, step)
}

func everyFault(t *testing.T, operations []operation, step int) {
	before := goleak.IgnoreCurrent()
	a := newArtifact(t, small())
	more := a.claim(t, 2)
	layout := filepath.Join(t.TempDir(), "layout")
	if _, err := a.push(t.Context(), mustRef(t, "oci:"+layout+":"+tag), registry.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Run("all", func(t *testing.T) {
		for kind, o := range kinds {
			full := a.stock(t, o)
			for _, op := range operations {
				if op.only != "" && op.only != kind {
					continue
				}
				stock := op.begin(full, o)
				x := trial{artifact: a, more: more, source: full, layout: layout}
				requests := x.requests(t, op, stock)
				for i, f := range slices.Concat(lab.Slow(), lab.Broken(), lab.Lies()) {
					slow := slices.ContainsFunc(lab.Slow(), func(s lab.Fault) bool { return s.Name == f.Name })
					t.Run(op.name+"/"+kind+"/"+f.Name, func(t *testing.T) {
						t.Parallel()
						x := x
						x.fault = f
						last := concerned(f, requests)
						for n := 1 + i%max(min(step, last), 1); n <= last && !t.Failed(); n += step { // one request's story is enough
							x.strike(t, op, stock, n, slow)
						}
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

// requests does the operation without a fault, and returns what it asked.
func (x trial) requests(t *testing.T, op operation, stock *lab.Registry) []lab.Request {
	t.Helper()
	proxy := x.prepare(t, op, stock)
	if !attempt(t, op, &x, 0) || len(proxy.Requests()) == 0 {
		t.Fatalf("without a fault %s fails", op.name)
	}
	return proxy.Requests()
}

// concerned is how many of the requests a fault is for.
func concerned(f lab.Fault, requests []lab.Request) int {
	n := 0
	for _, r := range requests {
		at, err := url.ParseRequestURI(r.URI)
		if f.When == nil || err == nil && f.When(&http.Request{Method: r.Method, URL: at, Header: r.Header}) {
			n++
		}
	}
	return n
}

// strike lets the fault strike at one request of the operation, and then has it done without.
func (x trial) strike(t *testing.T, op operation, stock *lab.Registry, n int, slow bool) {
	proxy := x.prepare(t, op, stock)
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
	}
}

// prepare puts the trial before a registry of its own.
func (x *trial) prepare(t *testing.T, op operation, stock *lab.Registry) *lab.Proxy {
	t.Helper()
	x.registry, x.other, x.ca = stock.Clone(), nil, ""
	proxy := lab.NewProxy(x.registry)
	if op.tls {
		host, ca := lab.ServeTLS(t, proxy)
		x.ref, x.ca = refAt(t, host), ca
	} else {
		x.ref = refAt(t, lab.Serve(t, proxy))
	}
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
