package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/importer"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// hubScheme marks a snapshot of a Hugging Face cache, and hub is what its repositories are at.
const (
	hubScheme = "hf:"
	hub       = "https://huggingface.co"
)

// platform is what lets artifacts in: this program.
const platform = "https://github.com/hallmark-project/hallmark"

// ingestFlags is where an artifact is from and who lets it in.
type ingestFlags struct {
	Upstream string
	Ingestor string
	Path     string
	ExpectID string
}

func newIngest(s streams) *cobra.Command {
	var f claimFlags
	var in ingestFlags
	c := &cobra.Command{
		Use:   "ingest hf:DIR | DIR --upstream URI@COMMIT",
		Short: "State that somebody else's model or dataset was let in, and from where",
		Long: `Sign that an artifact by somebody else was let in: from which registry, under which name, at which commit. The statement's
form is SLSA's dependency predicate (https://slsa.dev/dependency/v1).

hf:DIR is a snapshot of a Hugging Face cache, …/models--ORG--NAME/snapshots/COMMIT. Every file is held to the name of its
blob; repository and commit are what the folders are called. Of any other directory --upstream says where it is from.
Base models, datasets and license in its README.md are recorded as the publisher's claims.

That the bytes are what the publisher published is stated only with --expect-id, whose artifact ID has come another way.
Else the statement says that nobody checked.`,
		Example: `  hallmark ingest hf:$HF_HOME/hub/models--acme--chat/snapshots/… --ingestor https://example.com/ml-platform --private-key data.key
  hallmark ingest ./chat --upstream https://models.example/acme/chat@1f3b… --ingestor https://example.com/ml-platform --private-key data.key`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if in.Ingestor == "" {
				return withUsage(c, errors.New("--ingestor is needed: the URI of the organization that lets it in"))
			}
			return in.run(c.Context(), s, &f, args[0])
		},
	}
	f.bind(c)
	c.Flags().StringVar(&in.Upstream, "upstream", "", "`URI@COMMIT` of a directory: where it is from, the last part of the path its name")
	c.Flags().StringVar(&in.Ingestor, "ingestor", "", "`URI` of the organization that lets the artifact in")
	c.Flags().StringVar(&in.Path, "path", "", "`URI` of where it is kept from now on; default: its name, as a file")
	c.Flags().StringVar(&in.ExpectID, "expect-id", "", "artifact `ID` that it must have")
	return c
}

func (in *ingestFlags) run(ctx context.Context, s streams, f *claimFlags, arg string) error {
	path, upstream, err := in.source(f, arg)
	if err != nil {
		return err
	}
	found, err := f.findFiles(ctx, s, path)
	if err != nil {
		return err
	}
	if in.Path == "" {
		in.Path = attestations.LocalURI(found.on.Name)
	}
	n := attestations.Ingestion{
		Ingestor: attestations.Party{ID: in.Ingestor}, Platform: attestations.Platform{ID: platform, Version: version()},
		Upstream: upstream, Event: attestations.IngestionEvent{Timestamp: now(), Path: in.Path},
		Integrity: &attestations.Integrity{Result: attestations.ResultUnverified},
	}
	if in.ExpectID != "" {
		if in.ExpectID != found.on.ID {
			return refusal{fmt.Errorf("ingest %s: the artifact is %s, not %s", printable(arg), found.on.ID, in.ExpectID)}
		}
		n.Integrity = &attestations.Integrity{Method: "hash", Result: attestations.ResultVerified,
			Expected: map[string]string{"sha256": strings.TrimPrefix(found.on.ID, "sha256:")}}
	}
	if n.Claimed, err = cardOf(path, found.files); err != nil {
		fmt.Fprintf(s.err, "hallmark: nothing is recorded of what its README.md claims: %s\n", oneLine(err.Error()))
		n.Claimed = attestations.Claimed{}
	}
	return f.state(ctx, s, found, n)
}

// source is the directory that arg names, and where it is from.
func (in *ingestFlags) source(f *claimFlags, arg string) (string, attestations.Upstream, error) {
	var none attestations.Upstream
	if in.ExpectID != "" {
		if _, err := attestations.ParseArtifactID(in.ExpectID); err != nil {
			return "", none, usagef("--expect-id: %w", err)
		}
	}
	f.net.Timeout = f.with.Timeout
	dir, isHub := strings.CutPrefix(arg, hubScheme)
	switch {
	case isHub && in.Upstream != "":
		return "", none, usagef("--upstream is for directories of which only you know where they are from: %s tells by itself", printable(arg))
	case isHub:
		snapshot, err := manifest.ReadSnapshot(dir)
		if err != nil {
			return "", none, usageError{err}
		}
		if f.kind == "" && snapshot.Type == "datasets" {
			f.kind = string(attestations.KindDataset)
		}
		return dir, attestations.Upstream{Registry: hub, Name: snapshot.Repo, Version: snapshot.Commit,
			Digest: attestations.DigestSet{"gitCommit": snapshot.Commit}}, nil
	case in.Upstream == "":
		return "", none, usageError{hintError{errors.New("nobody says where it is from"), "--upstream URI@COMMIT, or hf:DIR for a snapshot of a Hugging Face cache"}}
	}
	upstream, err := parseUpstream(in.Upstream)
	if err != nil {
		return "", none, usagef("--upstream: %w", err)
	}
	path, err := onDiskOnly(arg)
	return path, upstream, err
}

// parseUpstream reads URI@COMMIT: the registry is the URI's scheme and host, the name its path.
func parseUpstream(s string) (attestations.Upstream, error) {
	var none attestations.Upstream
	at := strings.LastIndexByte(s, '@')
	if at < 0 || at < strings.LastIndexByte(s, '/') {
		return none, fmt.Errorf("%q is not URI@COMMIT: what has no version could be anything", s)
	}
	u, err := url.Parse(s[:at])
	if err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return none, fmt.Errorf("%q is no URI of a registry and a name in it", s[:at])
	}
	out := attestations.Upstream{Registry: u.Scheme + "://" + u.Host, Name: strings.Trim(u.Path, "/"), Version: s[at+1:]}
	if isCommit := (len(out.Version) == 40 || len(out.Version) == 64) && strings.Trim(out.Version, "0123456789abcdef") == ""; isCommit {
		out.Digest = attestations.DigestSet{"gitCommit": out.Version}
	}
	return out, nil
}

// cardOf reads what the artifact's README.md claims. What is read is what was hashed.
func cardOf(dir string, files []manifest.File) (attestations.Claimed, error) {
	at := slices.IndexFunc(files, func(f manifest.File) bool { return f.Name == "README.md" })
	if at < 0 {
		return attestations.Claimed{}, nil
	}
	raw, err := readAtMost(filepath.Join(dir, "README.md"), importer.MaxCard)
	if err != nil {
		return attestations.Claimed{}, err
	}
	sum := hashing.NewStream()
	if _, err := sum.Write(raw); err != nil {
		return attestations.Claimed{}, err
	}
	if sum.Sum() != files[at].SHA256 {
		return attestations.Claimed{}, fmt.Errorf("README.md: %w", hashing.ErrChanged)
	}
	return importer.ReadCard(raw)
}
