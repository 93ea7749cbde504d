package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/registry/index"
)

func newIndex(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "index",
		Short: "Keep what registries hold, so that lineage and impact are answered at once",
		Long: `Keep an index of registries: what references name, the evidence that lies with it, what was made from what, where it
runs, and what was decided. It is a SQLite file, or two tables of a PostgreSQL database. Signed bundles stay the truth: an
index stands in for no signature check, and is rebuilt from the registries.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newIndexUpdate(s, false), newIndexUpdate(s, true), newIndexCheck(s))
	return c
}

// scopeHelp is how every command that takes scopes explains them.
const scopeHelp = `What to look at is HOST for every repository that the registry lists, HOST/PREFIX/ (with the slash) for those below a
prefix, HOST/NAME for one repository, oci:DIR for a layout on disk.`

// bindStore binds where the index is.
func bindStore(f *pflag.FlagSet, store *string) {
	f.StringVar(store, "store", "", "the index: a SQLite `FILE`, or postgres://…")
}

// indexFlags is what filling an index takes.
type indexFlags struct {
	whom    trustFlags
	seen    thresholdFlags
	net     networkFlags
	workers int
}

func (f *indexFlags) bind(flags *pflag.FlagSet) {
	f.whom.bind(flags)
	f.seen.bind(flags)
	f.net.bind(flags)
	flags.IntVar(&f.workers, "workers", 4, "`NUMBER` of artifacts that are asked about at the same time")
}

// fill updates x from each scope and returns what was found. What could not be read is in the reports. bar shows how many
// artifacts were looked at, of all that were listed so far.
func (f *indexFlags) fill(ctx context.Context, x *index.Index, scopes []registry.Scope, bar *progress) ([]index.Report, error) {
	if f.workers < 1 {
		return nil, usagef("--workers %d: it is a number above 0", f.workers)
	}
	var p policy.Policy
	if err := f.seen.apply(&p); err != nil {
		return nil, err
	}
	roots, p, err := f.whom.load(p)
	if err != nil {
		return nil, err
	}
	if err := p.Validate(); err != nil {
		return nil, usageError{err}
	}
	defer bar.stop()
	var all []index.Report
	before := 0
	for _, scope := range scopes {
		seen := func(done, total int) { bar.counts("looked at", before+done, before+total) }
		r, err := x.Update(ctx, scope, index.UpdateOptions{Roots: roots, Policy: p, Registry: f.net.options(), Workers: f.workers, Progress: seen})
		if err != nil {
			return all, err
		}
		before += r.Artifacts
		all = append(all, r)
	}
	return all, nil
}

func parseScopes(args []string) ([]registry.Scope, error) {
	var all []registry.Scope
	for _, arg := range args {
		scope, err := registry.ParseScope(arg)
		if err != nil {
			return nil, usageError{hintError{err, "HOST, HOST/PREFIX/, HOST/NAME or oci:DIR"}}
		}
		all = append(all, scope)
	}
	return all, nil
}

// errPartial says that not everything was seen, after what was seen was printed.
var errPartial = errors.New("part of what was asked for could not be read")

// indexed is hallmark.index/v1.
type indexed struct {
	Schema  string         `json:"schema"`
	Store   string         `json:"store"`
	Events  uint64         `json:"events"`
	Head    string         `json:"head,omitempty"`
	Scopes  []indexedScope `json:"scopes"`
	Carried int            `json:"carried"`
	Damaged string         `json:"damaged,omitempty"`
}

type indexedScope struct {
	Scope     string   `json:"scope"`
	Repos     int      `json:"repositories"`
	Artifacts int      `json:"artifacts"`
	Unchanged int      `json:"unchanged"`
	Opened    int      `json:"opened"`
	Refused   int      `json:"refused"`
	New       int      `json:"new"`
	Problems  []string `json:"problems"`
}

func newIndexUpdate(s streams, anew bool) *cobra.Command {
	var f indexFlags
	var store string
	var show output
	c := &cobra.Command{
		Use:   "update HOST[/PREFIX/]|HOST/NAME|oci:DIR…",
		Short: "Record what is new in registries",
		Long: `Look at everything, record what is new, and say what could not be read, which is exit code 3. An artifact whose evidence
is that of the last time is asked for its digest and its list of evidence only. What was interrupted goes on where it
stopped. Bundles by others than those who are trusted are counted, and what they say is not followed.

` + scopeHelp,
		Example: `  hallmark index update registry.example --store index.db --public-key trainer.pub
  hallmark index update oci:./layout --store postgres://index@db.example/index --public-key trainer.pub`,
		Args: cobra.MinimumNArgs(1),
	}
	if anew {
		c.Use, c.Short = "rebuild HOST[/PREFIX/]|HOST/NAME|oci:DIR…", "Make an index anew from registries"
		c.Long = `Read everything again and put it in the place of what the index holds, at once and only if all of it could be read.
Verdicts are in no registry: those of the old index are carried over, if it is sound. A damaged file is kept beside.

` + scopeHelp
		c.Example = `  hallmark index rebuild registry.example --store index.db --public-key trainer.pub`
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if store == "" {
			return usagef("--store: say where the index is")
		}
		scopes, err := parseScopes(args)
		if err != nil {
			return err
		}
		out := indexed{Schema: "hallmark.index/v1", Store: index.Redacted(store)}
		var found []index.Report
		bar := newProgress(s, "looked at", show)
		if anew {
			out.Carried, out.Damaged, err = index.Rebuild(c.Context(), store, index.Options{}, func(x *index.Index) error {
				if found, err = f.fill(c.Context(), x, scopes, bar); err != nil {
					return err
				}
				return partial(found)
			})
		} else {
			err = f.updated(c.Context(), store, scopes, bar, &found)
		}
		for _, r := range found {
			out.Scopes = append(out.Scopes, indexedScope{r.Scope, r.Repos, r.Artifacts, r.Unchanged, r.Opened, r.Refused, r.New, append([]string{}, r.Problems...)})
		}
		if err != nil && !errors.Is(err, errPartial) {
			return err
		}
		if headErr := out.head(c.Context(), store); headErr != nil && err == nil {
			return headErr
		}
		return errors.Join(showIndexed(s.out, out, show), err)
	}
	f.bind(c.Flags())
	bindStore(c.Flags(), &store)
	show.bind(c.Flags(), "print no progress, and of what was found only the number of events and the head")
	return c
}

func (f *indexFlags) updated(ctx context.Context, store string, scopes []registry.Scope, bar *progress, found *[]index.Report) error {
	x, err := index.Open(ctx, store, index.Options{Create: true})
	if err != nil {
		return indexHint(err)
	}
	if *found, err = f.fill(ctx, x, scopes, bar); err == nil {
		err = partial(*found)
	}
	return errors.Join(indexHint(err), x.Close())
}

// partial is errPartial if anything could not be read.
func partial(found []index.Report) error {
	for _, r := range found {
		if len(r.Problems) > 0 {
			return errPartial
		}
	}
	return nil
}

// indexHint says what to do about an index that cannot be used.
func indexHint(err error) error {
	switch {
	case errors.Is(err, index.ErrMissing):
		return hintError{err, "hallmark index update HOST… --store STORE"}
	case errors.Is(err, index.ErrDamaged):
		return hintError{err, "hallmark index rebuild HOST… --store STORE"}
	case errors.Is(err, index.ErrNewer):
		return hintError{err, "use the hallmark that wrote it, or a newer one"}
	}
	return err
}

func (o *indexed) head(ctx context.Context, store string) error {
	x, err := index.Open(ctx, store, index.Options{})
	if err != nil {
		return err
	}
	defer x.Close()
	state, err := x.State(ctx)
	o.Events, o.Head = state.Head.Seq, state.Head.Hash
	return err
}

func showIndexed(w io.Writer, o indexed, show output) error {
	switch {
	case show.JSON:
		if o.Scopes == nil {
			o.Scopes = []indexedScope{}
		}
		return writeJSON(w, o)
	case show.Quiet:
		_, err := fmt.Fprintf(w, "%d %s\n", o.Events, o.Head)
		return err
	}
	for _, r := range o.Scopes {
		fmt.Fprintf(w, "%s  %s, %s (%d unchanged), %s opened, %d refused, %s\n", printable(r.Scope), count(r.Repos, "repository", "repositories"),
			count(r.Artifacts, "artifact", "artifacts"), r.Unchanged, count(r.Opened, "bundle", "bundles"), r.Refused, count(r.New, "new event", "new events"))
		for i, problem := range r.Problems {
			if i == maxListed {
				fmt.Fprintf(w, "  and %d more that could not be read\n", len(r.Problems)-i)
				break
			}
			fmt.Fprintf(w, "  UNREAD  %s\n", oneLine(problem))
		}
	}
	if o.Carried > 0 {
		fmt.Fprintf(w, "%s carried over\n", count(o.Carried, "verdict", "verdicts"))
	}
	if o.Damaged != "" {
		fmt.Fprintf(w, "the damaged index is kept as %s\n", printable(o.Damaged))
	}
	_, err := fmt.Fprintf(w, "%s  %s, head %s\n", printable(o.Store), count(o.Events, "event", "events"), o.Head)
	return err
}

func newIndexCheck(s streams) *cobra.Command {
	var store, hash string
	var events uint64
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Read a whole index and say whether it is what was written",
		Long: `Follow the chain of hashes through the whole log, hold every document to its digest, and have SQLite look for damage. The
first broken link is named, and the exit code is 1. A log that was cut at its end, or written anew, is sound by itself:
note the head that is printed somewhere else, and give it with --events and --head.`,
		Example: `  hallmark index check --store index.db
  hallmark index check --store index.db --events 4711 --head sha256:…`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if store == "" {
				return usagef("--store: say where the index is")
			}
			if (events == 0) != (hash == "") {
				return usagef("--events and --head belong together")
			}
			x, err := index.Open(c.Context(), store, index.Options{})
			if err != nil {
				return damagedIsNo(err)
			}
			defer x.Close()
			head, err := x.Check(c.Context(), index.Head{Seq: events, Hash: hash})
			if err != nil {
				return damagedIsNo(err)
			}
			out := indexed{Schema: "hallmark.index/v1", Store: index.Redacted(store), Events: head.Seq, Head: head.Hash}
			if !asJSON && head.Seq > 0 {
				fmt.Fprintf(s.out, "sound, last written to %s\n", head.At.Format(time.DateTime+" UTC"))
			}
			return showIndexed(s.out, out, output{JSON: asJSON})
		},
	}
	bindStore(c.Flags(), &store)
	c.Flags().Uint64Var(&events, "events", 0, "`NUMBER` of events that an earlier head was noted at")
	c.Flags().StringVar(&hash, "head", "", "the `DIGEST` that was noted then")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// damagedIsNo makes damage a refusal: it was read, and is not what was written.
func damagedIsNo(err error) error {
	if errors.Is(err, index.ErrDamaged) {
		return refusal{indexHint(err)}
	}
	return indexHint(err)
}
