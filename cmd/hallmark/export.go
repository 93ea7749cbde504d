package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
)

// The names of files in an exported folder that the command puts there.
const (
	exportedPolicy = "policy.yaml"
	exportedRoot   = "trusted_root.json"
	exportedReadme = "README.txt"
)

// exportedResult is what hallmark export prints as JSON: hallmark.exported/v1.
type exportedResult struct {
	Schema    string         `json:"schema"`
	Artifact  string         `json:"artifact"`
	ID        string         `json:"id"`
	Verdict   policy.Verdict `json:"verdict"`
	Dir       string         `json:"dir"`
	Artifacts int            `json:"artifacts"` // whose evidence is there, the artifact itself among them
	Command   string         `json:"command"`   // that verifies with what is there
}

func newExport(s streams) *cobra.Command {
	var over policyFlags
	var whom trustFlags
	var net networkFlags
	var list listFlags
	var out output
	var dir string
	c := &cobra.Command{
		Use:   "export ARTIFACT|REF --policy FILE --out DIR",
		Short: "Pack everything that somebody else needs to verify an artifact's chain without a network",
		Long: `Verify by a policy, as hallmark verify --policy does, and write to DIR what that took: what is said of the artifact and of
everything that it was made from, their manifests, the policy with the keys that it names, the trusted root, the list of what
is revoked, and a README.txt with the one command that comes to the same decision. The artifact itself is not in it. Where
the policy minds the order of releases, --state or --release-floor says what was seen, and the command says it to others.

A no is exported too, so that others see why. Where it could not be found out, nothing is written.`,
		Example: `  hallmark export ./chat --policy prod.yaml --evidence ./base --out chat-evidence
  hallmark verify ./chat --policy chat-evidence/policy.yaml --evidence chat-evidence --offline`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if over.File == "" || dir == "" {
				return withUsage(c, errors.New("--policy and --out are needed"))
			}
			bar := newProgress(s, "hashed", out)
			defer bar.stop()
			r, err := over.prepare(c.Context(), args, &whom, &net, &list, bar)
			if err != nil {
				return err
			}
			defer r.close()
			return r.export(c.Context(), s, dir, &net, out, bar)
		},
	}
	over.bindChain(c.Flags())
	over.bindMemory(c.Flags(), "where verify remembers what was seen, which is read and not written")
	c.Flags().StringVar(&whom.TrustedRoot, "trusted-root", "", "Sigstore trusted_root.json `FILE`, instead of the imported one (hallmark trust)")
	bindTrustDir(c.Flags(), &whom.TrustDir)
	net.bind(c.Flags())
	c.Flags().StringArrayVar(&list.IgnorePaths, "ignore-paths", nil, "`PATH` that need not be signed, relative to the artifact or absolute inside it (repeats)")
	list.bindSignature(c.Flags(), "signature `FILE`, instead of model.sig or FILE.sig")
	c.Flags().StringVar(&dir, "out", "", "`DIR` to make, which must not be there yet")
	out.bind(c.Flags(), "print the command that verifies alone")
	return c
}

// export verifies and writes what that took.
func (r *chainRun) export(ctx context.Context, s streams, dir string, net *networkFlags, out output, bar *progress) error {
	kept := &registry.Recorder{From: r.library}
	decisions, _, err := chain.VerifyPolicy(ctx, r.targets, kept, r.policy.doc, r.options)
	bar.stop()
	if err != nil {
		return err
	}
	d := decisions[0]
	if unfinished(d) {
		return showDecision(s, d, shownAs{output: out})
	}
	if err := r.keepTarget(ctx, kept, d); err != nil {
		return err
	}
	x := registry.Export{Evidence: kept, Files: map[string][]byte{exportedPolicy: r.policy.raw}}
	for name, content := range r.policy.files {
		x.Files[filepath.ToSlash(filepath.Clean(filepath.FromSlash(name)))] = content
	}
	if lists := r.policy.lists(net.options()); lists != nil {
		if x.Revoked, err = r.library.Lists(*lists).Evidence(ctx); err != nil {
			return err
		}
	}
	command := []string{"hallmark", "verify", shellWord(d.Artifact.Ref), "--policy", shellWord(filepath.Join(dir, exportedPolicy)), "--evidence", shellWord(dir), "--offline"}
	if r.options.Sigstore != nil {
		if x.Files[exportedRoot] = r.options.Sigstore.JSON(); x.Files[exportedRoot] == nil {
			return errors.New("export: the trusted root is not at hand as a file")
		}
		command = append(command, "--trusted-root", shellWord(filepath.Join(dir, exportedRoot)))
	}
	seen := r.seen()
	for _, channel := range slices.Sorted(maps.Keys(seen)) {
		command = append(command, "--release-floor", shellWord(fmt.Sprintf("%s=%d", channel, seen[channel])))
	}
	result := exportedResult{"hallmark.exported/v1", d.Artifact.Ref, d.Artifact.ID, d.Verdict(), dir, kept.Len(), strings.Join(command, " ")}
	x.Files[exportedReadme] = []byte(result.readme(d))
	if err := registry.WriteExport(x, dir); err != nil {
		return err
	}
	if d.Verdict() != policy.Yes {
		warn(s.err, "what was exported is "+came(d.Verdict(), d.Reasons()))
	}
	return result.show(s, out)
}

// seen is the lowest release that each channel takes here, where anything is known of it. Others have to be told: they
// remember nothing.
func (r *chainRun) seen() map[string]uint64 {
	all := maps.Clone(r.options.Floors)
	if r.options.State != nil {
		for channel, least := range r.options.State.Channels {
			all[channel] = max(all[channel], least)
		}
	}
	return all
}

// unfinished reports whether something that could have been found out was not, so that others would decide on less.
func unfinished(d policy.Decision) bool {
	for _, l := range d.Chain {
		for _, c := range l.Checks {
			if c.Name == "collected" && c.Verdict == policy.Unknown {
				return true
			}
		}
	}
	return d.Artifact.ID == ""
}

// keepTarget adds the artifact's own evidence to what is exported.
func (r *chainRun) keepTarget(ctx context.Context, kept *registry.Recorder, d policy.Decision) error {
	items := kept.Items(d.Artifact.ID)
	for _, source := range r.targets[0].Sources {
		found, err := source.Evidence(ctx)
		if err != nil {
			return err
		}
		items = append(items, found...)
	}
	var manifest []byte
	if stored := r.stored[0]; stored != nil {
		canonical, err := stored.Artifact.Canonical()
		if err != nil {
			return err
		}
		manifest = canonical.Manifest
	}
	kept.Keep(d.Artifact.ID, manifest, items)
	return nil
}

func (e exportedResult) readme(d policy.Decision) string {
	return fmt.Sprintf(`Evidence of %s
artifact ID  %s
policy       %s
decided      %s, on %s

Everything that it takes to verify the artifact and what it was made from, without a network. With the artifact at hand, in
the folder that holds this one:

  %s

Nothing here has to be believed: what is said of each artifact is signed, and opened against the policy and the trusted root
again. Whoever gave you this folder chose both, and what release the command takes for the oldest. To verify by your own,
name your own.
`, printable(e.Artifact), e.ID, printable(d.Policy), e.Verdict, d.At.UTC().Format("2006-01-02 15:04 UTC"), e.Command)
}

func (e exportedResult) show(s streams, out output) error {
	switch {
	case out.JSON:
		return writeJSON(s.out, e)
	case out.Quiet:
		_, err := fmt.Fprintln(s.out, e.Command)
		return err
	}
	fmt.Fprintf(s.out, "exported  %s  %s\n", printable(e.Artifact), e.ID)
	fmt.Fprintf(s.out, "decided   %s\n", e.Verdict)
	fmt.Fprintf(s.out, "evidence  of %s, in %s\n", count(e.Artifacts, "artifact", "artifacts"), printable(e.Dir))
	_, err := fmt.Fprintf(s.out, "verify    %s\n", e.Command)
	return err
}
