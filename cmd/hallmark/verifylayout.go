package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/attestations/layout"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// layoutFlags is an in-toto layout to verify by.
type layoutFlags struct {
	File  string
	Keys  []string
	Links string
}

func (l *layoutFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&l.File, "layout", "", "in-toto layout `FILE` to verify by, instead of a signature or policy")
	f.StringArrayVar(&l.Keys, "layout-key", nil, "with --layout: PEM `FILE` with a public key that must have signed it (repeats; all must have)")
	f.StringVar(&l.Links, "links", "", "with --layout: `DIR` of the links, NAME.link; default: the layout's folder")
}

// layoutResult is what verifying by a layout prints as JSON: hallmark.layout/v1.
type layoutResult struct {
	Schema   string         `json:"schema"`
	Verdict  policy.Verdict `json:"verdict"`
	Artifact string         `json:"artifact"`
	ID       string         `json:"id"`
	Layout   string         `json:"layout"`
	Steps    []layout.Step  `json:"steps"`
	Why      string         `json:"why,omitempty"` // of a no
}

// verify holds an artifact on disk to the layout.
func (l *layoutFlags) verify(c *cobra.Command, s streams, args []string, over *policyFlags, list *listFlags, out shownAs) error {
	for _, name := range []string{"policy", "public-key", "certificate-chain", "identity", "identity-provider", "format", "ignore-unsigned-files", "require-log"} {
		if f := c.Flags().Lookup(name); f != nil && f.Changed {
			return usagef("--%s and --layout exclude each other: the layout says who had to do what", name)
		}
	}
	switch {
	case len(args) > 1:
		return usagef("a layout is about one artifact")
	case len(l.Keys) == 0:
		return usagef("--layout needs --layout-key: a layout is as good as who signed it")
	}
	if err := over.alone(); err != nil {
		return err
	}
	path, err := onDiskOnly(args[0])
	if err != nil {
		return err
	}
	raw, links, o, err := l.read()
	if err != nil {
		return err
	}
	var how manifest.Options
	if err := recorded(s, path, *list, &how); err != nil {
		return err
	}
	m, err := build(c.Context(), s, path, how, out.output)
	if err != nil {
		return err
	}
	r := layoutResult{Schema: "hallmark.layout/v1", Verdict: policy.Yes, Artifact: path, Layout: l.File}
	if r.ID, err = m.ID(); err != nil {
		return err
	}
	var refused *layout.Refused
	if r.Steps, err = layout.Verify(raw, links, m, o); errors.As(err, &refused) {
		r.Verdict, r.Why, err = policy.No, refused.Error(), nil
	}
	if err != nil {
		return fmt.Errorf("verify by layout %s: %w", l.File, err)
	}
	return r.show(s, out.output)
}

// read reads layout, keys and links.
func (l *layoutFlags) read() (raw []byte, links [][]byte, o layout.Options, err error) {
	if raw, err = readAtMost(l.File, layout.MaxFile); err != nil {
		return nil, nil, o, err
	}
	o.Now = now()
	for _, path := range l.Keys {
		key, err := readSmall(path)
		if err != nil {
			return nil, nil, o, err
		}
		o.Keys = append(o.Keys, key)
	}
	dir := l.Links
	if dir == "" {
		dir = filepath.Dir(l.File)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, o, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".link") {
			continue
		}
		if len(links) == layout.MaxLinks {
			return nil, nil, o, fmt.Errorf("read links in %s: more than %d", dir, layout.MaxLinks)
		}
		link, err := readAtMost(filepath.Join(dir, e.Name()), layout.MaxFile)
		if err != nil {
			return nil, nil, o, err
		}
		links = append(links, link)
	}
	return raw, links, o, nil
}

func (r layoutResult) show(s streams, out output) error {
	var err error
	switch {
	case out.JSON:
		err = writeJSON(s.out, r)
	case out.Quiet && r.Verdict == policy.Yes:
		_, err = fmt.Fprintln(s.out, r.Artifact)
	case out.Quiet:
		r.write(s.err)
	default:
		r.write(s.out)
	}
	if err != nil || r.Verdict == policy.Yes {
		return err
	}
	return undecided{verdict: r.Verdict}
}

// write prints r for people.
func (r layoutResult) write(w io.Writer) {
	fmt.Fprintf(w, "%-7s  %s  %s\n", r.Verdict, printable(r.Artifact), r.ID)
	for _, step := range r.Steps {
		short := make([]string, len(step.Signed))
		for i, id := range step.Signed {
			short[i] = "key " + printable(id)
		}
		fmt.Fprintf(w, "  ok       %-10s  %s\n", printable(step.Name), strings.Join(short, "; "))
	}
	if r.Why != "" {
		fmt.Fprintf(w, "  %-7s  layout      %s\n", r.Verdict, printable(r.Why))
	}
}
