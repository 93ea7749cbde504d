package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
	"github.com/hallmark-project/hallmark/test/program"
)

// auditCommand measures hallmark audit: a whole registry, cold and warm, by who signed and by a policy over the chain.
const auditCommand = "audit"

// What is wanted of a warm audit of 10,000 artifacts on two cores.
const (
	auditTarget    = 10_000
	maxWarmAudit   = time.Minute
	maxAuditMemory = 300 << 20 // bytes
)

// family is how many artifacts belong together: a dataset, a base that was trained on it, and fine-tunes of that.
const family = 10

const auditPolicy = `apiVersion: hallmark/v1
kind: Policy
name: bench
version: 1
identities: {trainer: {key: trainer.pub}}
builders: [{id: "https://builder.example/trainer", signers: [trainer]}]
target: {model: model, dataset: corpus}
steps:
  model:
    kind: model
    signature: [trainer]
    provenance: {types: [train, finetune], signers: [trainer]}
    inputs:
      base-model: {step: model, min: 0, max: 1}
      dataset.train: {step: corpus, min: 1}
      source: {uri: ["git+https://git.example/train"]}
    evidence: [{name: robustness, type: test-result, activity: attack, signers: [trainer], maxAge: 8760h}]
  corpus: {kind: dataset, signature: [trainer]}
`

// audits is one run of the command.
type audits struct {
	dir, host, binary string
	by                signer.Signer
	artifacts         int
}

func runAudit(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var a audits
	f := flag.NewFlagSet("bench audit", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&a.artifacts, "artifacts", auditTarget, "`number` of artifacts, in families of ten, each family a repository")
	runs := f.Int("runs", 3, "how often the warm audit is measured")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || a.artifacts < family || *runs < 1 {
		return errors.New("audit: --artifacts is at least 10 and --runs 1, and there are only flags")
	}
	if a.dir, err = os.MkdirTemp("", "hallmark-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(a.dir)) }()
	if a.binary, err = program.Build(a.dir); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: lab.New(lab.Options{Referrers: true})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	a.host = listener.Addr().String()
	began := time.Now()
	if err := a.fill(ctx, func(done int) { fmt.Fprintf(stderr, "bench: %d of %d artifacts are pushed\n", done, a.artifacts) }); err != nil {
		return fmt.Errorf("fill the registry: %w", err)
	}
	fmt.Fprintf(stdout, "%d artifacts in %d repositories, pushed in %.1f s; the registry runs on the same cores\n\n%-28s %9s %9s %9s\n",
		a.artifacts, a.artifacts/family, time.Since(began).Seconds(), "audit", "seconds", "cores", "MiB")
	for _, by := range []struct{ name, flag, value string }{{"keys", "--public-key", "trainer.pub"}, {"policy", "--policy", "policy.yaml"}} {
		t := &task{dir: a.dir, args: []string{a.binary, "audit", a.host, by.flag, by.value, "--state", "state-" + by.name, "--quiet"}}
		for i := range *runs + 1 {
			name := "warm, by " + by.name
			if i == 0 {
				name = "cold, by " + by.name
			}
			s, err := t.measure(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(stdout, "%-28s %9.2f %9.2f %9d%s\n", name, s.wall.Seconds(), ratio(s.cpu, s.wall), s.peakRSS>>20, a.verdict(i > 0, s))
		}
	}
	return nil
}

// verdict holds a warm audit of as many artifacts as the target is about to it.
func (a *audits) verdict(warm bool, s sample) string {
	switch {
	case !warm || a.artifacts != auditTarget:
		return ""
	case s.wall > maxWarmAudit || s.peakRSS > maxAuditMemory:
		return "  missed: at most 60 s and 300 MiB"
	}
	return "  met: at most 60 s and 300 MiB"
}

// fill pushes the artifacts, each signed, and models with provenance and a test.
func (a *audits) fill(ctx context.Context, say func(done int)) error {
	private, public, err := signer.GenerateKey(signer.ECDSAP256, nil)
	if err != nil {
		return err
	}
	key, err := signer.ParsePrivateKey(private, nil)
	if err != nil {
		return err
	}
	if a.by, err = signer.NewKey(key); err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(filepath.Join(a.dir, "trainer.pub"), public, 0o644), os.WriteFile(filepath.Join(a.dir, "policy.yaml"), []byte(auditPolicy), 0o644)); err != nil {
		return err
	}
	var done atomic.Int64
	work, inner := errgroup.WithContext(ctx)
	work.SetLimit(8)
	for n := range a.artifacts / family {
		work.Go(func() error {
			if err := a.fillFamily(inner, n); err != nil {
				return err
			}
			if now := done.Add(family); now%1000 == 0 {
				say(int(now))
			}
			return nil
		})
	}
	return work.Wait()
}

func (a *audits) fillFamily(ctx context.Context, n int) error {
	repository := fmt.Sprintf("%s/family/f%05d", a.host, n)
	corpus, err := a.push(ctx, repository+":data", attestations.KindDataset, nil)
	if err != nil {
		return err
	}
	data := input(attestations.RoleDatasetTrain, corpus)
	base, err := a.push(ctx, repository+":base", attestations.KindModel, made(attestations.BuildTrain, data))
	for i := 2; i < family && err == nil; i++ {
		_, err = a.push(ctx, fmt.Sprintf("%s:v%d", repository, i), attestations.KindModel, made(attestations.BuildFinetune, data, input(attestations.RoleBaseModel, base)))
	}
	return err
}

// push pushes an artifact of one small file that there is once, and returns its ID.
func (a *audits) push(ctx context.Context, name string, kind attestations.Kind, by *attestations.Provenance) (string, error) {
	dir, err := os.MkdirTemp(a.dir, "artifact-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte(rand.Text()), 0o644); err != nil {
		return "", err
	}
	m, err := manifest.Build(ctx, dir, manifest.Options{})
	if err != nil {
		return "", err
	}
	id, err := m.ID()
	if err != nil {
		return "", err
	}
	signature, err := attestations.NewSignature(m, kind)
	if err != nil {
		return "", err
	}
	statements := []attestations.Statement{signature}
	if by != nil {
		now := time.Now().UTC().Truncate(time.Second)
		for _, p := range []attestations.Predicate{*by, attestations.TestResult{Result: attestations.ResultPassed, Configuration: []attestations.Resource{}, PassedTests: []string{"robustness/typos"},
			Evaluation: attestations.Evaluation{Activity: attestations.Attacked, FinishedOn: now}}} {
			st, err := attestations.NewStatement(attestations.Artifact{ID: id, Kind: kind}, p)
			if err != nil {
				return "", err
			}
			statements = append(statements, st)
		}
	}
	var bundles []chain.Item
	for _, st := range statements {
		b, _, err := attestations.Sign(ctx, st, a.by)
		if err != nil {
			return "", err
		}
		bundles = append(bundles, chain.Item{Bundle: b})
	}
	ref, err := registry.ParseRef(name)
	if err != nil {
		return "", err
	}
	_, err = registry.Publish(ctx, dir, m, bundles, ref, registry.PublishOptions{})
	return id, err
}

func made(b attestations.BuildType, inputs ...attestations.Dependency) *attestations.Provenance {
	source := attestations.Dependency{Name: "train", Role: attestations.RoleSource, URI: "git+https://git.example/train",
		Digest: attestations.Digest{Class: attestations.ClassGitCommit, Hex: "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"}}
	var p attestations.Provenance
	p.BuildDefinition.BuildType, p.BuildDefinition.ResolvedDependencies = b, append([]attestations.Dependency{source}, inputs...)
	p.RunDetails.Builder.ID = "https://builder.example/trainer"
	now := time.Now().UTC().Truncate(time.Second)
	p.RunDetails.Metadata.StartedOn, p.RunDetails.Metadata.FinishedOn = now.Add(-time.Hour), now
	return &p
}

func input(role attestations.Role, id string) attestations.Dependency {
	return attestations.Dependency{Name: string(role), Role: role, URI: attestations.LocalURI("input"),
		Digest: attestations.Digest{Class: attestations.ClassArtifact, Hex: id[len("sha256:"):]}}
}
