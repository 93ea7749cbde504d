package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// digestResult is what digest prints as JSON: hallmark.digest/v1.
type digestResult struct {
	Schema    string       `json:"schema"`
	Name      string       `json:"name"`
	ID        string       `json:"id"`
	Root      string       `json:"omsRootDigest"`
	Hash      string       `json:"hash"`
	Files     []digestFile `json:"files"`
	Bytes     int64        `json:"bytes"`
	Uncovered []string     `json:"uncovered"`
}

type digestFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func newDigest(s streams) *cobra.Command {
	var list listFlags
	var hash hashFlags
	var out output
	var file string
	var remembered cacheFlags
	c := &cobra.Command{
		Use:   "digest ARTIFACT…",
		Short: "Name an artifact: its ID, from its bytes alone",
		Long: `Print the artifact ID of a file, a directory or a Hugging Face cache snapshot, with its OMS root digest, files and bytes.

The artifact ID is the digest of the artifact's canonical OCI manifest: the digest under which a registry serves it. It
follows from the names and bytes of the files alone, on every machine. Exclusions that model.sig records are kept.

--output writes the names, sizes and digests of one artifact to a file, for hallmark sign --digests on the machine that
may sign: what made the artifact needs no key and no token.

--cache remembers the digest of each file, in the user's cache folder, and does not read the file again while its inode,
size and times are the same. It is for one's own machine: whoever can write to the files' disk or to that folder by other
ways than the file system can have a wrong digest printed.`,
		Example: `  hallmark digest ./chat
  hallmark digest --json ./chat | jq -r .id
  hallmark digest ./chat --output digests.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var o manifest.Options
			if err := hash.apply(&o); err != nil {
				return err
			}
			switch {
			case file != "" && len(args) > 1:
				return usagef("--output describes one artifact, and there are %d", len(args))
			case file != "" && hash != hashFlags{Hash: string(hashing.SHA256)}:
				return usagef("--hash, --shards and --shard-size do not go with --output: %w", manifest.ErrDigestsForm)
			}
			o.Cache = remembered.open(s)
			defer remembered.save(s)
			var failed []error
			for _, arg := range args {
				err := digest(c.Context(), s, arg, file, list, o, len(args) > 1, out)
				if len(args) == 1 || c.Context().Err() != nil {
					return err
				}
				if err != nil {
					failed = append(failed, fmt.Errorf("digest %s: %w", printable(arg), err))
					report(c.Context(), s.err, failed[len(failed)-1])
				}
			}
			if len(failed) > 0 {
				return severalErrors{failed}
			}
			return nil
		},
	}
	list.bind(c.Flags())
	list.bindSignature(c.Flags(), "signature `FILE` inside the artifact that is not content")
	hash.bind(c.Flags())
	remembered.bind(c.Flags())
	c.Flags().StringVar(&file, "output", "", "`FILE` to write names, sizes and digests to, for sign --digests elsewhere")
	out.bind(c.Flags(), "print the artifact ID alone")
	return c
}

// digest names one artifact, and writes its digests file where one is asked for.
func digest(ctx context.Context, s streams, arg, file string, list listFlags, o manifest.Options, several bool, out output) error {
	path, err := onDiskOnly(arg)
	if err != nil {
		return err
	}
	if file != "" {
		if err := checkOutput(path, file); err != nil {
			return err
		}
	}
	if err := recorded(s, path, list, &o); err != nil {
		return err
	}
	m, err := build(ctx, s, path, o, out)
	if err != nil {
		return err
	}
	sayCached(s, m.Cached, len(m.Files))
	if file != "" {
		if err := writeDigests(s, path, file, m); err != nil {
			return err
		}
	}
	if several && !out.JSON && !out.Quiet {
		fmt.Fprintf(s.out, "artifact         %s\n", printable(arg))
	}
	return showDigest(s, m, out)
}

func showDigest(s streams, m *manifest.Manifest, out output) error {
	id, err := m.ID()
	if err != nil {
		return err
	}
	switch {
	case out.JSON:
		r := digestResult{Schema: "hallmark.digest/v1", Name: m.Name, ID: id, Root: m.RootDigest().String(),
			Hash: string(m.Serialization.Algorithm), Bytes: m.Bytes(), Uncovered: m.Uncovered}
		for _, f := range m.Files {
			r.Files = append(r.Files, digestFile{f.Name, f.Size, f.SHA256.String()})
		}
		return writeJSON(s.out, r)
	case out.Quiet:
		_, err = fmt.Fprintln(s.out, id)
		return err
	}
	fmt.Fprintf(s.out, "artifact ID      %s\n", id)
	fmt.Fprintf(s.out, "OMS root digest  %s\n", m.RootDigest())
	fmt.Fprintf(s.out, "files            %d\n", len(m.Files))
	_, err = fmt.Fprintf(s.out, "bytes            %d\n", m.Bytes())
	if n := len(m.Uncovered); n > 0 {
		fmt.Fprintf(s.err, "hallmark: %s left out, such as %s\n", count(n, "more file is", "more files are"), printable(m.Uncovered[0]))
	}
	return err
}
