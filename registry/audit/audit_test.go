package audit

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

func TestRunMakesARowOfEverything(t *testing.T) {
	for _, o := range []lab.Options{{Referrers: true}, {}, {Referrers: true, PageSize: 2}} {
		w := newWorld(t, o)
		stranger := newSigner(t)
		chat := w.put("llm/chat", "v1", w.by, stranger)
		w.g.Tag("llm/chat", "prod", chat)
		w.put("llm/draft", "v1")
		w.put("llm/foreign", "v1", stranger)
		w.image("tools/server", "v1")
		foreign := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + chat + `","size":1}]}`
		w.g.PutManifest("llm/chat", ocispec.MediaTypeImageIndex, []byte(foreign), "all")

		var came []Row
		r := w.mustAudit(func(o *Options) { o.Row = func(row Row) error { came = append(came, row); return nil } })
		w.expect(r, `llm/chat all,prod,v1 artifact yes
llm/draft v1 artifact no no-evidence
llm/foreign v1 artifact no untrusted-signer
tools/server v1 other no wrong-artifact
`)
		if len(came) != len(r.Rows) {
			t.Errorf("%d rows came, and there are %d", len(came), len(r.Rows))
		}
		row := r.Rows[0]
		if row.ID != chat || row.Digest != chat || row.Kind != "model" || row.Evidence != 2 || row.Opened != 1 || row.Pinned() != w.host+"/llm/chat@"+chat ||
			len(row.Signers) != 1 || len(row.Strangers) != 1 || !slices.Equal(row.Predicates, []string{attestations.PredicateOMS}) || !row.Decided.Equal(w.now) {
			t.Errorf("row %+v", row)
		}
		totals := r.Totals
		if totals.Artifacts != 3 || totals.Yes != 1 || totals.No != 2 || totals.Other != 1 || totals.Unread != 0 || len(totals.Unsigned) != 1 || len(totals.Unexpected) != 2 {
			t.Errorf("totals %+v", totals)
		}
	}
}

func TestRunReadsALayout(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	w.put("llm/chat", "v1", w.by)
	dir := filepath.Join(t.TempDir(), "layout")
	from, err := registry.ParseRef(w.host + "/llm/chat:v1")
	if err != nil {
		t.Fatal(err)
	}
	to, err := registry.ParseRef("oci:" + dir + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Copy(t.Context(), from, to, registry.CopyOptions{From: w.options()}); err != nil {
		t.Fatal(err)
	}
	scope, err := registry.ParseScope("oci:" + dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), []registry.Scope{scope}, w.judge(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.expect(r, "oci:"+dir+" v1 artifact yes\n")
}

func TestRunRefusesToLookAtNothing(t *testing.T) {
	if _, err := Run(t.Context(), nil, Judge{}, Options{}); err == nil {
		t.Error("an audit of nothing went well")
	}
}

func TestRunByNobodySaysSo(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	w.put("llm/chat", "v1", w.by)
	r, err := w.auditOf(Judge{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.expect(r, "llm/chat v1 artifact unknown policy-unusable\n")
}

func TestWarmAuditUsesVerdictsAgain(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	w.state = &State{t.TempDir()}
	w.put("llm/base", "v1", w.by)
	chat := w.put("llm/chat", "v1", w.by)
	w.put("llm/draft", "v1")
	w.mustAudit(nil)
	cold := "llm/base v1 artifact yes\nllm/chat v1 artifact yes\nllm/draft v1 artifact no no-evidence\n"
	warm := "llm/base v1 artifact yes (reused)\nllm/chat v1 artifact yes (reused)\nllm/draft v1 artifact no no-evidence (reused)\n"

	_, before := w.blobs(0)
	r := w.mustAudit(nil)
	w.expect(r, warm)
	if blobs, _ := w.blobs(before); blobs > 0 {
		t.Errorf("%d blobs were read again", blobs)
	}
	if r.Totals.Reused != 3 {
		t.Errorf("%d reused", r.Totals.Reused)
	}

	w.claim("llm/chat", chat, w.by, made(attestations.BuildTrain, source, data))
	w.expect(w.mustAudit(nil), strings.Replace(warm, "chat v1 artifact yes (reused)", "chat v1 artifact yes", 1))

	for name, change := range map[string]func(j *Judge, o *Options){
		"another program": func(_ *Judge, o *Options) { o.Program = "other" },
		"another policy":  func(j *Judge, _ *Options) { j.Policy.AllowUncovered = false },
		"a further key": func(j *Judge, _ *Options) {
			other := newSigner(t)
			j.Roots.Keys = append(slices.Clone(j.Roots.Keys), other.Roots().Keys...)
		},
		"a window": func(j *Judge, _ *Options) {
			j.Policy.Signers = identities(w.by)
			j.Policy.Signers[0].Window.ValidFrom = then.Add(-time.Hour)
			j.Policy.Signers = append(j.Policy.Signers, identities(w.by)...)
		},
		"a clock set back":            func(_ *Judge, o *Options) { o.Now = func() time.Time { return w.now.Add(-time.Minute) } },
		"after it lasted":             func(_ *Judge, o *Options) { o.Now = func() time.Time { return w.now.Add(DefaultWithin + time.Minute) } },
		"looking further than it did": func(_ *Judge, o *Options) { o.Within = 3 * DefaultWithin },
		"a simulation":                func(j *Judge, o *Options) { other := *j; o.Simulate = &other },
	} {
		kept := snapshot(t, w.state.Dir)
		j := w.judge()
		var o Options
		change(&j, &o)
		r, err := w.auditOf(j, func(all *Options) {
			if o.Now != nil {
				all.Now = o.Now
			}
			if o.Program != "" {
				all.Program = o.Program
			}
			all.Within, all.Simulate = o.Within, o.Simulate
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := w.text(r); got != cold {
			t.Errorf("%s: rows\n%s", name, got)
		}
		restore(t, w.state.Dir, kept)
		w.expect(w.mustAudit(nil), warm) // the same without it
		restore(t, w.state.Dir, kept)
	}
}

// snapshot and restore keep a state as it was.
func snapshot(t *testing.T, dir string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "audit", stateFile))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func restore(t *testing.T, dir string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "audit", stateFile), raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTotalsTellWhatChanged(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	w.state = &State{t.TempDir()}
	second := newSigner(t)
	base := w.put("llm/base", "v1", w.by)
	chat := w.put("llm/chat", "v1", w.by)
	w.claim("llm/chat", chat, w.by, made(attestations.BuildFinetune, source, data, input(attestations.RoleBaseModel, base)))
	w.put("llm/gone", "v1", w.by)
	if got := w.mustAudit(nil).Totals; got.Moved != nil || got.Shrunk != nil || got.Unexpected != nil {
		t.Errorf("the first audit: %+v", got)
	}
	if got := w.mustAudit(nil).Totals; got.Moved != nil || got.Shrunk != nil || got.Unexpected != nil {
		t.Errorf("the same again: %+v", got)
	}

	other := w.putBytes("llm/base", "v1", "other bytes", w.by)
	w.g.Tag("llm/gone", "v1", "")
	j := w.judge()
	j.Roots.Keys = append(slices.Clone(j.Roots.Keys), second.Roots().Keys...)
	j.Policy.Signers = append(slices.Clone(j.Policy.Signers), identities(second)...)
	gone := w.referrers("llm/chat", chat)[0]
	w.claim("llm/chat", chat, second, made(attestations.BuildFinetune, source, data, input(attestations.RoleBaseModel, base)))
	w.hide("llm/chat", chat, gone)
	r, err := w.auditOf(j, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Move{{w.host + "/llm/base", "v1", base, other}}
	if !slices.Equal(r.Totals.Moved, append(want, r.Totals.Moved[min(1, len(r.Totals.Moved)):]...)) || len(r.Totals.Moved) == 0 {
		t.Errorf("moved: %+v", r.Totals.Moved)
	}
	if len(r.Totals.Shrunk) != 1 || r.Totals.Shrunk[0].Artifact != w.host+"/llm/chat@"+chat || !slices.Equal(r.Totals.Shrunk[0].Gone, []string{gone}) {
		t.Errorf("shrunk: %+v", r.Totals.Shrunk)
	}
	if len(r.Totals.Unexpected) != 1 || r.Totals.Unexpected[0].Signer != "key "+second.Roots().Keys[0].Fingerprint() {
		t.Errorf("unexpected: %+v", r.Totals.Unexpected)
	}
}

// referrers are the digests of an artifact's bundles.
func (w *world) referrers(name, id string) []string {
	w.t.Helper()
	ref, err := registry.ParseRef(w.host + "/" + name + "@" + id)
	if err != nil {
		w.t.Fatal(err)
	}
	repo, err := registry.Open(ref, w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	defer repo.Close()
	all, err := repo.Referrers(context.Background(), id)
	if err != nil || len(all) == 0 {
		w.t.Fatalf("%d referrers: %v", len(all), err)
	}
	return all
}

// hide takes one bundle of an artifact away, as a registry's administrator could.
func (w *world) hide(name, id, digest string) {
	w.proxy.Set(lab.Rule{Fault: lab.Fault{Name: "one referrer less", Do: func(x *lab.Exchange) {
		a := x.Ask()
		a.Body = without(a.Body, digest)
		a.Header.Del("Content-Length")
		x.Give(a)
	}}.At("GET", "/"+name+"/referrers/"+id)})
}

func TestRunGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	w.state = &State{t.TempDir()}
	for _, name := range []string{"a", "b", "c", "d"} {
		w.put("llm/"+name, "v1", w.by)
	}
	stop := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	o := Options{Registry: w.options(), Now: func() time.Time { return w.now }, State: w.state, Program: "test", Workers: 1}
	rows := 0
	o.Row = func(Row) error {
		if rows++; rows == 2 {
			cancel(stop)
		}
		return nil
	}
	if _, err := Run(ctx, []registry.Scope{w.scope("")}, w.judge(), o); !errors.Is(err, stop) {
		t.Fatalf("error %v", err)
	}
	o.Row = nil
	kept, err := os.ReadFile(filepath.Join(w.state.Dir, "audit", partialFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, cut := range map[string][]byte{"whole": kept, "killed in a line": append(slices.Clone(kept), `{"sum":"`...)} {
		if err := os.WriteFile(filepath.Join(w.state.Dir, "audit", partialFile), cut, 0o600); err != nil {
			t.Fatal(err)
		}
		o.Resume = true
		r, err := Run(t.Context(), []registry.Scope{w.scope("")}, w.judge(), o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Totals.Reused < 2 || r.Totals.Reused == 4 || r.Totals.Yes != 4 || r.Totals.Moved != nil {
			t.Errorf("%s: %+v", name, r.Totals)
		}
		if err := os.Remove(filepath.Join(w.state.Dir, "audit", stateFile)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(w.state.Dir, "audit", partialFile), kept, 0o600); err != nil {
		t.Fatal(err)
	}
	o.Resume = false
	r, err := Run(t.Context(), []registry.Scope{w.scope("")}, w.judge(), o)
	if err != nil || r.Totals.Reused != 0 {
		t.Errorf("without Resume: %+v, %v", r.Totals, err)
	}
}

func TestStateIsReadWholeOrNotAtAll(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	w.state = &State{t.TempDir()}
	w.put("llm/chat", "v1", w.by)
	w.put("llm/base", "v1", w.by)
	w.mustAudit(nil)
	good := snapshot(t, w.state.Dir)
	lines := strings.SplitAfter(string(good), "\n")
	for name, bad := range map[string]string{
		"a bit flipped":   strings.Replace(string(good), `"verdict":"yes"`, `"verdict":"yfs"`, 1),
		"a verdict":       strings.Replace(string(good), `"verdict":"yes"`, `"verdict":"no"`, 1),
		"cut":             string(good[:len(good)-20]),
		"without its end": strings.Join(lines[:len(lines)-2], ""),
		"a line less":     lines[0] + lines[2] + lines[3],
		"another version": strings.Replace(string(good), stateSchema, "hallmark.audit-state/v2", 1),
		"going on":        string(good) + lines[1],
		"no JSON":         "x\n",
		"nothing":         "",
		"unknown members": strings.Replace(string(good), `{"sum"`, `{"more":1,"sum"`, 1),
	} {
		restore(t, w.state.Dir, []byte(bad))
		if _, err := w.auditOf(w.judge(), nil); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	restore(t, w.state.Dir, good)
	w.mustAudit(nil)
}

func TestTwoAuditsDoNotShareAState(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	w.state = &State{t.TempDir()}
	w.put("llm/chat", "v1", w.by)
	w.mustAudit(func(o *Options) {
		o.Row = func(Row) error {
			if _, err := w.auditOf(w.judge(), nil); !errors.Is(err, registry.ErrBusy) {
				t.Errorf("a second audit: %v", err)
			}
			return nil
		}
	})
	w.mustAudit(nil)
}

func TestRowErrorEndsTheAudit(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	w.put("llm/chat", "v1", w.by)
	stop := errors.New("no more paper")
	if _, err := w.auditOf(w.judge(), func(o *Options) { o.Row = func(Row) error { return stop } }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}

func TestRunWithoutEverythingIsADontKnow(t *testing.T) {
	cases := map[string]struct {
		fault lab.Fault
		want  string
	}{
		"no list":              {lab.Status(404, "").At("GET", "/v2/_catalog"), " - unread unknown unreadable\n"},
		"a list that broke":    {lab.CutAfter(5).At("GET", "/v2/_catalog"), " - unread unknown unreachable\n"},
		"no tags":              {lab.Status(500, "").At("GET", "llm/base/tags"), "llm/base - unread unknown unreadable\nllm/chat v1 artifact yes\n"},
		"a tag of nothing":     {lab.Status(404, "").At("GET", "llm/base/manifests/v1"), "llm/base v1 unread unknown unreadable\nllm/chat v1 artifact yes\n"},
		"no list of evidence":  {lab.Status(500, "").At("GET", "llm/base/referrers"), "llm/base v1 artifact unknown unreadable\nllm/chat v1 artifact yes\n"},
		"evidence withheld":    {lab.Status(404, "").At("GET", "llm/base/blobs"), "llm/base v1 artifact unknown unreadable\nllm/chat v1 artifact yes\n"},
		"429 for a repository": {lab.Status(429, "0").At("", "llm/base/"), "llm/base - unread unknown unreadable\nllm/chat v1 artifact yes\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, lab.Options{Referrers: true})
			w.put("llm/base", "v1", w.by)
			w.put("llm/chat", "v1", w.by)
			w.expect(w.mustAudit(nil), "llm/base v1 artifact yes\nllm/chat v1 artifact yes\n")
			w.proxy.Set(lab.Rule{Fault: c.fault})
			r := w.mustAudit(nil)
			w.expect(r, strings.ReplaceAll(c.want, " - ", "  "))
			for _, row := range r.Rows {
				if row.Verdict != policy.Yes && row.Detail == "" {
					t.Errorf("%s: no word on why", row.Pinned())
				}
			}
		})
	}
}

func TestRunWaitsAsLongAsHalfIsRefused(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	for _, name := range []string{"a", "b", "c"} {
		w.put("llm/"+name, "v1", w.by)
	}
	n := 0
	fault := lab.Status(429, "1")
	fault.When = func(r *http.Request) bool { n++; return r.URL.Path != "/v2/" && n%2 == 0 }
	w.proxy.Set(lab.Rule{Fault: fault})
	w.expect(w.mustAudit(func(o *Options) { o.Workers = 1 }), "llm/a v1 artifact yes\nllm/b v1 artifact yes\nllm/c v1 artifact yes\n")
}

func TestRunEndsWithARegistryThatPagesForEver(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	w.put("llm/chat", "v1", w.by)
	page := 0
	w.proxy.Set(lab.Rule{Fault: lab.Fault{Name: "for ever", Do: func(x *lab.Exchange) {
		page++
		x.Writer.Header().Set("Link", `</v2/_catalog?last=`+strconv.Itoa(page)+`>; rel="next"`)
		x.Give(&lab.Answer{Status: 200, Header: http.Header{}, Body: []byte(`{"repositories":["llm/chat"]}`)})
	}}.At("GET", "/v2/_catalog")})
	r := w.mustAudit(nil)
	w.expect(r, "  unread unknown cap-reached\n")
}

func TestRunAsksNoMoreWhereNobodyAnswers(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	for i := range 3 * maxFailures {
		w.g.PutManifest("llm/m"+strconv.Itoa(i), ocispec.MediaTypeImageManifest, []byte("{}"), "v1")
	}
	var count atomic.Int32
	gone := lab.Fault{Name: "gone", Do: func(x *lab.Exchange) { count.Add(1); x.Reset() }}
	w.proxy.Set(lab.Rule{Fault: gone.At("GET", "/v2/llm/")})
	r := w.mustAudit(func(o *Options) { o.Workers = 1; o.Registry.Retries = -1 })
	asked := int(count.Load())
	if r.Totals.Unread != 3*maxFailures || asked < maxFailures || asked > maxFailures+3 { // net/http itself asks again where a kept connection broke
		t.Errorf("%d rows, asked %d times", r.Totals.Unread, asked)
	}
	if last := r.Rows[len(r.Rows)-1]; !slices.Equal(last.Reasons, []policy.Reason{policy.Unreachable}) {
		t.Errorf("last row %+v", last)
	}
}
