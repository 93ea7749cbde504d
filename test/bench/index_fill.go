package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/lineage"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry/index"
	"github.com/hallmark-project/hallmark/test/lab/witness"
)

// graph is what was recorded: a root that all was made from, and a leaf that nothing was, by artifact ID.
type graph struct {
	root, leaf   string
	nodes, edges int
	recorded     rate // events written, once they were signed and opened
}

const (
	parents    = 5 // how many others an artifact is made from
	signers    = 7 // how many keys sign in turn
	repository = "registry.example/llm"
	atOnce     = 1000 // bundles that are recorded together
)

// plan says what each of n artifacts is made from: up to five that come before it, most of them among few. The first comes
// before all. It is the same every time.
func plan(n int) func() []int {
	random := rand.New(rand.NewPCG(1, 2))
	i := 0
	return func() []int {
		var from []int
		for k := range min(i, parents) {
			for {
				next := random.IntN(min(i, atOnce<<(3*k)))
				if !slices.Contains(from, next) {
					from = append(from, next)
					break
				}
			}
		}
		i++
		return from
	}
}

// fillIndex signs what the plan for n artifacts says, opens it, and records it.
func fillIndex(ctx context.Context, x *index.Index, n int, say func(done int)) (graph, error) {
	g := graph{root: artifactID("artifact", 0), leaf: artifactID("artifact", n-1), nodes: n}
	var by []signer.Signer
	for range signers {
		key, err := newKey()
		if err != nil {
			return g, err
		}
		by = append(by, key)
	}
	next := plan(n)
	for first := 0; first < n; first += atOnce {
		entries := make([]index.Entry, min(atOnce, n-first))
		work, inner := errgroup.WithContext(ctx)
		work.SetLimit(runtime.GOMAXPROCS(0))
		for i := range entries {
			from := next()
			g.edges += len(from)
			work.Go(func() error {
				id := artifactID("artifact", first+i)
				_, a, err := signFrom(inner, id, from, by[(first+i)%signers])
				if err == nil {
					entries[i], err = index.NewOpened(id, fmt.Sprintf("%s registry %s", repository, artifactID("place", first+i)), a)
				}
				return err
			})
		}
		if err := work.Wait(); err != nil {
			return g, err
		}
		err := g.recorded.spend(func() error {
			_, err := x.Record(ctx, entries...)
			return err
		})
		if err != nil {
			return g, err
		}
		if g.recorded.count += len(entries); g.recorded.count%100_000 == 0 {
			say(g.recorded.count)
		}
	}
	return g, nil
}

func artifactID(what string, i int) string {
	sum := sha256.Sum256(fmt.Append(nil, what, " ", i))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func nodeOf(id string) lineage.Node {
	return lineage.Node{Class: string(attestations.ClassArtifact), Digest: id}
}

// signFrom states that an artifact was merged from others, pruned from one, or let in.
func signFrom(ctx context.Context, id string, from []int, by signer.Signer) (attestations.Bundle, *attestations.Attestation, error) {
	at := time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)
	var says attestations.Predicate = attestations.Ingestion{
		Ingestor: attestations.Party{ID: "https://acme.example"}, Platform: attestations.Platform{ID: "https://acme.example/ingest"},
		Upstream: attestations.Upstream{Registry: "https://models.example", Name: "org/base", Version: "1"},
		Event:    attestations.IngestionEvent{Timestamp: at, Path: "oci://registry.example/llm/base"},
	}
	if len(from) > 0 {
		role, p := attestations.RoleMergeParent, attestations.Provenance{BuildDefinition: attestations.BuildDefinition{BuildType: attestations.BuildMerge}}
		if len(from) == 1 {
			role, p.BuildDefinition.BuildType = attestations.RoleBaseModel, attestations.BuildPrune
		}
		for k, parent := range from {
			d := input(role, artifactID("artifact", parent))
			d.Name = fmt.Sprint("input", k+1)
			p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies, d)
		}
		p.RunDetails.Builder.ID = "https://builder.example/trainer"
		p.RunDetails.Metadata.StartedOn, p.RunDetails.Metadata.FinishedOn = at, at
		says = p
	}
	st, err := attestations.NewStatement(attestations.Artifact{ID: id, Kind: attestations.KindModel}, says)
	if err != nil {
		return nil, nil, err
	}
	return attestations.Sign(ctx, st, by)
}

func newKey() (signer.Signer, error) {
	private, _, err := signer.GenerateKey(signer.ECDSAP256, nil)
	if err != nil {
		return nil, err
	}
	key, err := signer.ParsePrivateKey(private, nil)
	if err != nil {
		return nil, err
	}
	return signer.NewKey(key)
}

// keylessSigner signs as Ann, with a certificate, a log entry and a timestamp.
type keylessSigner struct {
	*witness.Keyless
	roots trust.Roots
}

// Roots is the lab's trusted root.
func (k keylessSigner) Roots() trust.Roots { return k.roots }

const (
	annsProvider = "https://issuer.example"
	ann          = "ann@example.com"
)

// ingest measures how fast bundles are opened and recorded, as an update does once they were fetched, in the large index.
func (s indexFlags) ingest(ctx context.Context, x *index.Index) (keyed, keyless rate, err error) {
	key, err := newKey()
	if err != nil {
		return keyed, keyless, err
	}
	if keyed, err = ingest(ctx, x, s.bundles, key, trust.Identity{Key: key.Roots().Keys[0].Fingerprint()}); err != nil {
		return keyed, keyless, fmt.Errorf("ingest by keys: %w", err)
	}
	w, err := witness.New(time.Now())
	if err != nil {
		return keyed, keyless, err
	}
	defer w.Close()
	var by keylessSigner
	if by.Keyless, err = w.Keyless(annsProvider, ann); err != nil {
		return keyed, keyless, err
	}
	if by.roots.Sigstore, err = trust.LoadSigstore(w.TrustedRoot); err != nil {
		return keyed, keyless, err
	}
	if keyless, err = ingest(ctx, x, s.bundles, by, trust.Identity{Issuer: annsProvider, Subject: ann}); err != nil {
		return keyed, keyless, fmt.Errorf("ingest keyless: %w", err)
	}
	return keyed, keyless, nil
}

// ingest signs n bundles, and measures opening and recording them.
func ingest(ctx context.Context, x *index.Index, n int, by signer.Signer, who trust.Identity) (rate, error) {
	items := make([]chain.Item, n)
	about := func(i int) string { return artifactID("ingested "+who.String(), i) }
	onEveryCore := func(first, count int, do func(i int) error) error {
		var work errgroup.Group
		work.SetLimit(runtime.GOMAXPROCS(0))
		for i := first; i < first+count; i++ {
			work.Go(func() error { return do(i) })
		}
		return work.Wait()
	}
	err := onEveryCore(0, n, func(i int) error {
		b, _, err := signFrom(ctx, about(i), []int{i % parents}, by)
		items[i] = chain.Item{Where: "registry " + about(i), Bundle: b}
		return err
	})
	if err != nil {
		return rate{}, err
	}
	const together = 500
	r := rate{count: n}
	p, roots, written := policy.Policy{Signers: []trust.Identity{who}}, by.Roots(), 0
	err = r.spend(func() error {
		recorded := make(chan error, 1) // of the bundles before, beside which the next are opened, as an update does it
		recorded <- nil
		for first := 0; first < n; first += together {
			entries := make([]index.Entry, min(together, n-first))
			err := onEveryCore(first, len(entries), func(i int) error {
				entries[i-first] = index.EntryOf(about(i), repository, items[i], roots, p)
				if refused, ok := entries[i-first].(index.Refused); ok {
					return fmt.Errorf("a bundle was refused: %s", refused.Why)
				}
				return nil
			})
			if err := errors.Join(err, <-recorded); err != nil {
				return err
			}
			go func() {
				is, err := x.Record(ctx, entries...)
				written += is
				recorded <- err
			}()
		}
		return <-recorded
	})
	if err == nil && written != n {
		err = fmt.Errorf("%d of %d bundles were new", written, n)
	}
	return r, err
}
