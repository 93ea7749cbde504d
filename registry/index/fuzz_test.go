package index

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/lineage"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// everyKind is an entry of every kind of event, and of what an attestation may say.
func everyKind() []Entry {
	says := func(n, from int, change func(*openedBody)) Entry {
		o := opened(n, from).(Opened)
		change(&o.body)
		return o
	}
	list := attestations.Revocations{Sequence: 1, Issued: then, Expires: then.Add(time.Hour), Entries: []attestations.Revocation{
		{Digest: attestations.Digest{Class: attestations.ClassArtifact, Hex: digest("n1")[7:]}, Scope: attestations.ScopeSelf, Reason: "poisoned", Since: then}}}
	return []Entry{
		opened(1, 0),
		says(2, 1, func(b *openedBody) { b.Deployment = deploymentBody{"https://prod.example", "deployed", then} }),
		says(3, 2, func(b *openedBody) { b.Time, b.TimeSource, b.Name, b.SaysNo = then, "timestamped", "chat", true }),
		says(4, 4, func(b *openedBody) {
			b.Links = []linkBody{{Role: "source", Class: "gitCommit", From: "gitCommit:" + digest("c")[7:47]}}
		}),
		says(5, 5, func(b *openedBody) { b.Links = []linkBody{{Role: RoleResolved, Made: digest("n4")}} }),
		says(6, 6, func(b *openedBody) { b.Revocations = &list }),
		Refused{About: digest("n1"), Where: "registry.example/llm registry " + digest("m"), Bundle: digest("b"), PredicateType: "https://slsa.dev/provenance/v1", Reason: policy.BadSignature, Why: "no"},
		Named{Ref: "registry.example/llm:v1", Artifact: digest("n1")},
		Named{Ref: "registry.example/llm:v1"},
		Listed{Repo: "registry.example/llm", Artifact: digest("n1"), Holds: []string{digest("n2")}, Referrers: []string{digest("m")}, Trust: "all"},
		Verdict{Decision: decided(digest("n1"), then)},
		Updated{Scope: "registry.example", Began: then, Artifacts: 3, Problems: []string{"unreachable"}},
	}
}

// FuzzEvent puts an event of any kind and content, rightly chained, into a log after one of every kind. The index says that it
// is damaged, at that event, or answers every question about everything that it has.
func FuzzEvent(f *testing.F) {
	made := &memory{}
	x := &Index{store: made, name: InMemory, now: func() time.Time { return then }}
	all := everyKind()
	if n, err := x.Record(f.Context(), all...); err != nil || n != len(all) {
		f.Fatal(n, err)
	}
	for _, e := range made.events {
		f.Add(e.kind, e.body)
		f.Add(e.kind, []byte(`{}`))
	}
	f.Add(kindRefused, []byte(`{"about":"`+digest("n1")+`","where":"here","reason":"","why":""}`))
	f.Add(kindOpened, []byte(`{"about":"`+digest("n1")+`","where":"here","bundle":"`+digest("b")+`","type":"","signer":{}}`))
	f.Add("trusted", []byte(`{}`))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		before := made.events[len(made.events)-1]
		e := event{seq: before.seq + 1, at: then.UnixNano(), kind: kind, body: body}
		e.hash = chained(before.hash, e.seq, e.at, e.key())
		x := &Index{store: &memory{events: append(made.events[:before.seq:before.seq], e), documents: made.documents}, name: InMemory, now: time.Now}
		state, err := x.State(t.Context())
		if err != nil {
			var damaged *DamagedError
			if !errors.As(err, &damaged) || damaged.Seq != e.seq {
				t.Fatalf("it is refused as %v", err)
			}
			return
		}
		if !json.Valid(body) || state.Head.Seq != e.seq || state.Refused < 0 || state.Refused > state.Bundles {
			t.Fatalf("it is taken: %+v", state)
		}
		askEverything(t, x)
	})
}

// askEverything asks x about every node and reference that it has. None of the questions may err: all of them are known.
func askEverything(t *testing.T, x *Index) {
	t.Helper()
	ctx, g := t.Context(), x.state.lineage()
	for n := range g.Nodes() {
		_, about := x.About(ctx, n)
		_, up := x.Lineage(ctx, n, lineage.Limits{})
		down, impact := x.Impact(ctx, n, lineage.Limits{})
		if err := errors.Join(about, up, impact); err != nil {
			t.Fatalf("%s: %v", n, err)
		}
		for i := range down.Len() {
			if len(down.Path(i)) == 0 {
				t.Errorf("%s: nothing leads to what it reaches", n)
			}
		}
		if n.Class == string(attestations.ClassArtifact) {
			all, bundles := x.Bundles(ctx, n.Digest)
			_, verdicts := x.Verdicts(ctx, n.Digest)
			if err := errors.Join(bundles, verdicts); err != nil {
				t.Fatalf("%s: %v", n, err)
			}
			for _, b := range all {
				if (b.Signer == "") == (b.Reason == "") || b.Signer == "nobody" {
					t.Errorf("%s: %+v was neither opened nor refused, or both", n, b)
				}
			}
		}
	}
	for ref := range x.state.names {
		if names, err := x.Names(ctx, ref); err != nil || len(names) == 0 {
			t.Fatalf("%q: %v, %v", ref, names, err)
		}
	}
}
