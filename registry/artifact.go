package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Stored is an artifact in a repository, by the manifest that its reference named when it was found. It is the source
// of its own evidence.
type Stored struct {
	Artifact *chain.Manifest
	Digest   string // of the manifest

	repo  *Repo
	items []chain.Item
}

// Find resolves ref, once, and reads the manifest. Its error is that nothing could be found out about the artifact: a
// reference that names nothing is an ErrNotFound. Close the Stored when it is no longer needed.
func Find(ctx context.Context, ref Ref, o Options) (*Stored, error) {
	repo, err := Open(ref, o)
	if err != nil {
		return nil, err
	}
	s := &Stored{repo: repo}
	d, err := repo.Resolve(ctx, ref)
	if err != nil {
		return nil, errors.Join(err, repo.Close())
	}
	raw, err := repo.Manifest(ctx, d.Digest)
	if err != nil {
		return nil, errors.Join(err, repo.Close())
	}
	s.Digest = d.Digest
	s.Artifact = chain.NewManifest(raw, ref.String(), ref.Pinned(d.Digest), ref.Tag())
	return s, nil
}

// Close ends idle connections.
func (s *Stored) Close() error { return s.repo.Close() }

// Evidence returns every bundle that refers to the artifact. It asks the repository once.
func (s *Stored) Evidence(ctx context.Context) ([]chain.Item, error) {
	if s.items != nil {
		return s.items, nil
	}
	items, err := s.repo.Bundles(ctx, s.Digest)
	if err == nil {
		s.items = items
	}
	return items, err
}

// List returns the manifest of the artifact's files from its canonical manifest alone, so that it can be signed where it
// lies. It errs where the manifest is not canonical, and where it packs files.
func (s *Stored) List() (*manifest.Manifest, error) {
	canonical, err := s.Artifact.Canonical()
	if err != nil {
		return nil, err
	}
	return manifest.FromCanonical(canonical, s.Name())
}

// Name returns what people call the artifact: the last part of the repository's name. A layout may hold many: there it is
// the tag, where one was named.
func (s *Stored) Name() string {
	if ref := s.repo.ref; ref.dir != "" && ref.tag != "" {
		return ref.tag
	}
	name := s.repo.Name()
	return name[strings.LastIndexAny(name, "/:")+1:]
}

// Attach stores bundles as evidence of the artifact.
func (s *Stored) Attach(ctx context.Context, bundles ...attestations.Bundle) error {
	raw, err := s.repo.Manifest(ctx, s.Digest)
	if err != nil {
		return err
	}
	subject := Descriptor{ocispec.MediaTypeImageManifest, s.Digest, int64(len(raw))}
	for _, b := range bundles {
		u, err := b.Peek()
		if err != nil {
			return fmt.Errorf("attach bundle: %w", err)
		}
		if _, err := s.repo.Attach(ctx, subject, b, u.PredicateType); err != nil {
			return err
		}
	}
	return nil
}

// FetchOptions says how to fetch; see PullOptions.
type FetchOptions struct {
	Workers  int
	Progress func(done, total int64)
	Events   func(Event)
}

// Fetch writes the artifact that d allows to dir; see Repo.Pull. Of the evidence only what opens against roots is
// written: the signature that counted becomes model.sig, the rest lines of claims.sig, beside dir instead of in it where
// the signature does not leave that file out. A decision that is no yes, or a yes on another artifact, is an error.
func (s *Stored) Fetch(ctx context.Context, d policy.Decision, roots trust.Roots, dir string, o FetchOptions) error {
	canonical, err := s.Artifact.Canonical()
	if err != nil {
		return err
	}
	if d.Verdict() != policy.Yes || d.Artifact.ID != canonical.ID {
		return fmt.Errorf("fetch %s: the decision is %s, on %s", canonical.ID, d.Verdict(), d.Artifact.ID)
	}
	counted := slices.IndexFunc(d.Evidence, func(e policy.Evidence) bool { return e.Counted })
	if counted < 0 {
		return fmt.Errorf("fetch %s: no evidence counted", canonical.ID)
	}
	pull := PullOptions{Workers: o.Workers, Progress: o.Progress, Events: o.Events}
	for _, item := range s.items {
		a, err := attestations.Open(item.Bundle, roots)
		switch {
		case err != nil:
		case pull.Signature == nil && a.Name() == d.Evidence[counted].Digest:
			pull.Signature = item.Bundle
			if pull.Files, err = signedFiles(a, canonical); err != nil {
				return fmt.Errorf("fetch %s: %w", canonical.ID, err)
			}
		default:
			pull.Claims = append(pull.Claims, item.Bundle)
		}
	}
	if pull.Signature == nil {
		return fmt.Errorf("fetch %s: the signature that counted is gone", canonical.ID)
	}
	if leavesRoom(pull.Signature) || len(pull.Claims) == 0 {
		return s.repo.Pull(ctx, canonical, dir, pull)
	}
	outside := pull.Claims
	pull.Claims = nil
	if err := s.repo.Pull(ctx, canonical, dir, pull); err != nil {
		return err
	}
	places, err := PlacesOf(dir)
	if err != nil {
		return err
	}
	return AppendClaims(ctx, places.Outside, outside...)
}

// signedFiles is the list that packed files are held to: the signer's, where it has whole-file SHA-256, with sizes
// where the manifest knows them. nil means that the signer's artifact ID alone says what the packs hold.
func signedFiles(a *attestations.Attestation, canonical *manifest.Canonical) ([]manifest.File, error) {
	s, err := attestations.ReadSignature(a)
	if err != nil {
		return nil, err
	}
	if !s.WholeSHA256() || s.Single() {
		return nil, nil
	}
	signed, err := s.Files()
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, l := range canonical.Layers {
		if !l.Pack {
			sizes[l.Name] = l.Size
		}
	}
	files := make([]manifest.File, len(signed))
	for i, f := range signed {
		files[i] = manifest.File{Name: f.Name, Size: -1}
		copy(files[i].SHA256[:], f.Digests[0])
		if size, ok := sizes[f.Name]; ok {
			files[i].Size = size
		}
	}
	return files, nil
}

// PublishOptions says how to publish.
type PublishOptions struct {
	Options
	PushOptions
}

// Published is what Publish put where.
type Published struct {
	ID       string // artifact ID, which is the manifest's digest
	Pinned   string // the reference to deploy
	Tag      string // the tag that names it now; empty if ref had none
	Evidence int    // bundles that are attached
}

// Publish stores the artifact at path, whose manifest is m, with its evidence under ref. The tag moves last, when
// everything else is there. A digest in ref that is not the artifact's ID is an error.
func Publish(ctx context.Context, path string, m *manifest.Manifest, evidence []chain.Item, ref Ref, o PublishOptions) (Published, error) {
	repo, err := Open(ref, o.Options)
	if err != nil {
		return Published{}, err
	}
	defer repo.Close()
	return publishTo(ctx, repo, path, m, nil, evidence, ref, o)
}

// PublishFiles lists and hashes the artifact at path, as list says, and publishes it; see manifest.Build and Publish.
// Large files of a first push into a registry's repository are sent while they are hashed, in one pass over their bytes;
// else each is hashed, and sent unless it is there. Whichever it was, what the registry holds is what was hashed.
func PublishFiles(ctx context.Context, path string, list manifest.Options, evidence []chain.Item, ref Ref, o PublishOptions) (Published, error) {
	repo, err := Open(ref, o.Options)
	if err != nil {
		return Published{}, err
	}
	defer repo.Close()
	sent := newAhead(ctx, repo, o.PushOptions)
	defer sent.close()
	list.Tee = sent.writer()
	m, err := manifest.Build(ctx, path, list)
	if err != nil {
		return Published{}, err
	}
	sent.end()
	return publishTo(ctx, repo, path, m, sent, evidence, ref, o)
}

func publishTo(ctx context.Context, repo *Repo, path string, m *manifest.Manifest, sent *ahead, evidence []chain.Item, ref Ref, o PublishOptions) (Published, error) {
	canonical, err := m.OCI()
	if err != nil {
		return Published{}, err
	}
	if ref.Digest() != "" && ref.Digest() != canonical.ID {
		return Published{}, fmt.Errorf("push to %s: the artifact is %s", ref, canonical.ID)
	}
	if err := repo.push(ctx, canonical, Files{Path: path}, sent, o.PushOptions); err != nil {
		return Published{}, doing(err, "push %s to %s", canonical.ID, repo.Name())
	}
	subject := Descriptor{ocispec.MediaTypeImageManifest, canonical.ID, int64(len(canonical.Manifest))}
	for _, item := range evidence {
		u, err := item.Bundle.Peek()
		if err != nil {
			return Published{}, fmt.Errorf("push %s: %w", item.Where, err)
		}
		if _, err := repo.Attach(ctx, subject, item.Bundle, u.PredicateType); err != nil {
			return Published{}, err
		}
	}
	if ref.Tag() != "" {
		if err := repo.Tag(ctx, canonical.ID, ref.Tag()); err != nil {
			return Published{}, err
		}
	}
	if err := repo.Finish(); err != nil {
		return Published{}, err
	}
	return Published{ID: canonical.ID, Pinned: ref.Pinned(canonical.ID), Tag: ref.Tag(), Evidence: len(evidence)}, nil
}
