package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
)

func newShow(s streams) *cobra.Command {
	var f claimFlags
	var whom trustFlags
	var net networkFlags
	var format string
	var inputs []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "show ARTIFACT|REF",
		Short: "Draw what is known of an artifact: its evidence, and what it was made from",
		Long: `Print the tree of an artifact's evidence and of the inputs that its provenance names. What was opened against the trust
that is given is marked verified; everything else is what somebody says. It decides nothing, and compares no files with
a signature: hallmark verify does. A key that verified is called as its --public-key FILE; --format json has the fingerprint.

--input names further artifacts, on disk or in a registry. Where one of them is an input in the tree, it goes on with
that one's evidence. An input is found by its artifact ID, whatever it is called.`,
		Example: `  hallmark show ./chat --public-key trainer.pub
  hallmark show ./chat --input ./base --input ./corpus --format mermaid`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if asJSON {
				if c.Flags().Changed("format") && format != "json" {
					return usagef("--json and --format %s are two answers: use one", format)
				}
				format = "json"
			}
			if drawings[format] == nil && pictures[format] == nil {
				return usagef("--format %q: it is text, json, mermaid, dot or svg", format)
			}
			var roots trust.Roots
			var p policy.Policy
			if !whom.nobody() {
				var err error
				if roots, p, err = whom.load(p); err != nil {
					return err
				}
			}
			f.net, f.with.Timeout, f.out.Quiet = net, net.Timeout, true
			all, err := showAll(c.Context(), s, f, append(args, inputs...), roots)
			if err != nil {
				return err
			}
			_, err = newDrawing(all, whom.keyFiles(p)).draw(s.out, format)
			return err
		},
	}
	f.list.bind(c.Flags())
	f.list.bindSignature(c.Flags(), "signature `FILE`, instead of model.sig or FILE.sig")
	whom.bind(c.Flags())
	net.bind(c.Flags())
	c.Flags().StringVar(&format, "format", "text", "`FORMAT`: text, json, mermaid, dot or svg")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: --format json")
	c.Flags().StringArrayVar(&inputs, "input", nil, "`ARTIFACT|REF` whose evidence continues the tree where it is an input (repeats)")
	return c
}

// keyFiles returns the files of --public-key by what decisions call their keys. p is what load returned.
func (t *trustFlags) keyFiles(p policy.Policy) map[string]string {
	files := map[string]string{}
	for i, path := range t.PublicKeys { // whose signers come first
		files[trust.Signer{Method: trust.MethodKey, Key: p.Signers[i].Key}.String()] = path
	}
	return files
}

// shownArtifact is one artifact with its evidence.
type shownArtifact struct {
	ID       string      `json:"id"`
	Name     string      `json:"name"`
	Evidence []shownFact `json:"evidence"`
}

// shownFact is one bundle of an artifact.
type shownFact struct {
	Where         string       `json:"where"`
	Bundle        string       `json:"bundle,omitempty"`
	PredicateType string       `json:"predicateType,omitempty"`
	Verified      bool         `json:"verified"`
	Why           string       `json:"why,omitempty"`
	Reason        string       `json:"reason,omitempty"`
	Signer        string       `json:"signer,omitempty"`
	Time          *time.Time   `json:"time,omitempty"`
	Summary       string       `json:"summary,omitempty"`
	SaysNo        bool         `json:"saysNo"`
	Inputs        []shownInput `json:"inputs,omitempty"`
}

// shownInput is one input that provenance names.
type shownInput struct {
	Name   string `json:"name"`
	Role   string `json:"role"`
	Class  string `json:"class"`
	Digest string `json:"digest"`
	URI    string `json:"uri,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"` // a working tree that differed from the commit
}

func (in shownInput) label() string {
	if in.Dirty {
		return in.Name + "  " + in.Digest + "  (dirty: the tree differed from it)"
	}
	return in.Name + "  " + in.Digest
}

func showAll(ctx context.Context, s streams, f claimFlags, args []string, roots trust.Roots) ([]*shownArtifact, error) {
	var all []*shownArtifact
	for _, arg := range args {
		a, err := showOne(ctx, s, f, arg, roots)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func showOne(ctx context.Context, s streams, f claimFlags, arg string, roots trust.Roots) (*shownArtifact, error) {
	at, err := findPlace(arg)
	if err != nil {
		return nil, err
	}
	var c *claimed
	if at.onDisk() {
		c, err = f.findFiles(ctx, s, at.path)
	} else {
		c, err = f.findAny(ctx, at.ref)
	}
	if err != nil {
		return nil, err
	}
	out := &shownArtifact{ID: c.on.ID, Name: c.on.Name, Evidence: []shownFact{}}
	described := chain.Describe(c.on.ID, c.evidence, roots)
	if c.stored != nil { // files have an order, the one in which things were stated
		chain.Order(described)
	}
	for _, d := range described {
		fact := shownFact{Where: d.Where, Bundle: d.Bundle, PredicateType: d.PredicateType, Verified: d.Verified, Why: d.Why, Reason: string(d.Reason),
			Signer: d.Signer, Summary: d.Summary, SaysNo: d.SaysNo}
		if !d.Time.IsZero() {
			fact.Time = &d.Time
		}
		for _, in := range d.Inputs {
			fact.Inputs = append(fact.Inputs, shownInput{in.Name, string(in.Role), string(in.Digest.Class), in.Digest.String(), in.URI, in.Dirty})
		}
		out.Evidence = append(out.Evidence, fact)
	}
	return out, c.close()
}

// findAny is find for showing: the manifest need not be canonical, for nothing is stated about it.
func (f *claimFlags) findAny(ctx context.Context, ref registry.Ref) (*claimed, error) {
	stored, err := registry.Find(ctx, ref, f.net.options())
	if err != nil {
		return nil, err
	}
	c := &claimed{ref: ref, stored: stored, on: attestations.Artifact{ID: stored.Digest, Name: stored.Name()}}
	if c.evidence, err = stored.Evidence(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// maxDrawn is how many lines or nodes a drawing has at most; evidence can name very many inputs.
const maxDrawn = 10_000

// drawing is an artifact's tree. Where an artifact comes again, its evidence is not drawn again.
type drawing struct {
	tree
	artifacts []*shownArtifact  // that are in the tree, the first at its top
	files     map[string]string // of keys, by who they sign as
}

// newDrawing draws the first artifact, and those of the others that are inputs in its tree. Keys are called by the files
// that have them.
func newDrawing(all []*shownArtifact, files map[string]string) drawing {
	d := drawing{tree: tree{bare: "no evidence"}, files: files}
	known := map[string]*shownArtifact{}
	for _, a := range all {
		if known[a.ID] == nil {
			known[a.ID] = a
		}
	}
	first, left := all[0], maxDrawn
	d.top = &drawnNode{label: strings.TrimSpace(first.Name + "  " + first.ID)}
	d.grow(d.top, first, known, &left)
	return d
}

func (d *drawing) grow(at *drawnNode, a *shownArtifact, known map[string]*shownArtifact, left *int) {
	if slices.Contains(d.artifacts, a) {
		return
	}
	d.artifacts = append(d.artifacts, a)
	for _, e := range a.Evidence {
		if *left--; *left < 0 {
			return
		}
		n := &drawnNode{label: e.label(d.files), mark: "verified    "}
		if !e.Verified {
			n.mark, n.dashed = "UNVERIFIED  ", true
		}
		at.below = append(at.below, n)
		for _, in := range e.Inputs {
			if *left--; *left < 0 {
				n.below = append(n.below, &drawnNode{label: fmt.Sprintf("and more: only %d are drawn", maxDrawn)})
				return
			}
			below := &drawnNode{label: in.label(), mark: in.Role + "  "}
			n.below = append(n.below, below)
			if next := known[in.Digest]; next != nil && in.Class == string(attestations.ClassArtifact) {
				d.grow(below, next, known, left)
			}
		}
	}
}

func (e shownFact) label(files map[string]string) string {
	what := e.Summary
	if what == "" {
		what = strings.TrimSpace("cannot be read " + e.PredicateType)
	}
	if e.SaysNo {
		what += "  (says no)"
	}
	who := e.Signer
	if file := files[who]; file != "" && e.Verified {
		who = file
	}
	what += ", by " + who
	if e.Why != "" {
		what += ": " + e.Why
	}
	return what
}
