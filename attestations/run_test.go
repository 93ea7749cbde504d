package attestations_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/host"
)

func TestRecordPutsWhatWasFoundWhereItBelongs(t *testing.T) {
	commit := host.Commit{Hash: strings.Repeat("ab", 20), Dirty: true, Remote: "https://git.example.com/acme/train.git"}
	found := host.Facts{Commit: &commit, LockFiles: []host.File{{Name: "uv.lock", SHA256: hashing.Sum{1}}}, Packages: []string{"jax==0.5", "torch==2.9.0"},
		Notes: map[string]string{"os": "linux"}, Invocation: "https://git.example.com/acme/train/-/jobs/9"}
	_, p := aDraft()
	given := p.BuildDefinition.ResolvedDependencies
	p.Record(found)
	if got := p.BuildDefinition.ResolvedDependencies; len(got) != len(given) {
		t.Errorf("a source that was given got another beside it: %v", got)
	}
	p.BuildDefinition.ResolvedDependencies = given[:3]
	p.RunDetails.Byproducts, p.RunDetails.Metadata.InvocationID, p.BuildDefinition.InternalParameters.Facts = nil, "", nil
	p.Record(found)
	p.RunDetails.Metadata.FinishedOn = p.RunDetails.Metadata.StartedOn.Add(time.Hour)
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	source := p.BuildDefinition.ResolvedDependencies[3]
	if want := (attestations.Dependency{Name: "source", Role: attestations.RoleSource, URI: "git+https://git.example.com/acme/train.git", Dirty: true,
		Digest: attestations.Digest{Class: attestations.ClassGitCommit, Hex: commit.Hash}}); source != want {
		t.Errorf("source %+v", source)
	}
	sum := hashing.NewStream()
	_, _ = sum.Write([]byte("jax==0.5\ntorch==2.9.0\n"))
	if b := p.RunDetails.Byproducts; len(b) != 2 || b[0].Name != "uv.lock" || b[1].Name != "python-packages" || b[1].Digest["sha256"] != sum.Sum().Hex() {
		t.Errorf("byproducts %+v", b)
	}
	if p.BuildDefinition.InternalParameters.Facts["os"] != "linux" || p.RunDetails.Metadata.InvocationID != found.Invocation {
		t.Errorf("%+v", p)
	}
}

func TestParametersSetByName(t *testing.T) {
	var p attestations.Parameters
	for _, c := range []struct{ name, value string }{{"seed", "7"}, {"sourceFormat", "gguf"}, {"lr", "3e-4"}, {"weights.a", "0.5"}, {"weights.b", "0.5"}} {
		if err := p.Set(c.name, c.value); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := p.Set(c.name, c.value); err == nil {
			t.Errorf("%s was set twice", c.name)
		}
	}
	if p.Seed != "7" || p.SourceFormat != "gguf" || p.Options["lr"] != "3e-4" || p.Weights["a"] != "0.5" || len(p.Weights) != 2 {
		t.Errorf("%+v", p)
	}
	for _, name := range []string{"command", "options", "weights"} {
		if err := p.Set(name, "x"); err == nil {
			t.Errorf("%s was set", name)
		}
	}
}
