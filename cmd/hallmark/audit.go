package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/registry/audit"
)

// auditFlags are what audit takes.
type auditFlags struct {
	whom       trustFlags
	thresholds thresholdFlags
	net        networkFlags
	policy     policyFlags
	State      string
	Resume     bool
	Simulate   string
	Controls   string
	Format     string
	JSON       bool
	Quiet      bool
	FailOn     string
	Within     days
	Workers    int
}

func newAudit(s streams) *cobra.Command {
	a := auditFlags{Within: days(audit.DefaultWithin)}
	c := &cobra.Command{
		Use:   "audit HOST[/PREFIX/]|HOST/NAME|oci:DIR…",
		Short: "Decide on everything that registries hold, and say what changed",
		Long: `Decide on every artifact of a registry, of the part of it below a prefix (with a slash at its end), of single
repositories, or of an OCI layout, by a policy or by the trust flags of verify; a row for each as it comes. At the end: what
is unsigned, who signed the rest, what is broken, stale or about to be, what is revoked and what is below it, and which
keys, authorities and lists end soon.

With --state the next audit says which tags moved, where evidence shrank and who is new among the signers, and uses again the
verdicts of artifacts of which nothing changed, in the registry, in the policy, and in what is revoked; everything is asked
for again all the same. An audit that was interrupted goes on with --resume.

Images, charts and the like are listed as other things, and count as nothing else. What cannot be read is a row, and a don't
know. An audit that finds nothing to decide on is a don't know too. In CSV a cell that a spreadsheet would calculate has an
apostrophe before it.`,
		Example: `  hallmark audit registry.example --public-key trainer.pub
  hallmark audit registry.example/llm/ --policy prod.yaml --state ./seen --format html > audit.html
  hallmark audit registry.example --policy prod.yaml --simulate next.yaml --fail-on no`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.run(c, s, args) },
	}
	f := c.Flags()
	a.whom.bind(f)
	a.thresholds.bind(f)
	a.net.bind(f)
	a.policy.bindChain(f)
	f.StringVar(&a.State, "state", "", "`DIR` where is remembered what was seen: by verify, and by the last audit")
	f.BoolVar(&a.Resume, "resume", false, "go on where an audit with the same --state was interrupted")
	f.StringVar(&a.Simulate, "simulate", "", "policy `FILE|REF`: say what would stop working under it; the exit code is about that")
	f.StringVar(&a.Controls, "controls", "", "`FRAMEWORK|FILE`: say in place of rows which controls the evidence supports: ai-security, or a file (text, json, html)")
	f.StringVar(&a.Format, "format", "text", "`FORMAT`: text, json (one object a line), csv, sarif or html (one page)")
	f.BoolVar(&a.JSON, "json", false, "print one JSON object a line: --format json")
	f.BoolVar(&a.Quiet, "quiet", false, "print no rows and no progress, only what it amounts to")
	f.StringVar(&a.FailOn, "fail-on", "any", "what is not exit code 0: `KIND` no, unknown or any of the two")
	f.Var(&a.Within, "within", "how far to look ahead: `TIME`, as 30d or 12h")
	f.IntVar(&a.Workers, "workers", audit.DefaultWorkers, "`NUMBER` of artifacts that are asked for at a time")
	return c
}

// check refuses what cannot be meant.
func (a *auditFlags) check(c *cobra.Command) error {
	if a.JSON {
		if c.Flags().Changed("format") && a.Format != "json" {
			return usagef("--json and --format %s are two answers: use one", a.Format)
		}
		a.Format = "json"
	}
	switch {
	case !slices.Contains([]string{"text", "json", "csv", "sarif", "html"}, a.Format):
		return usagef("--format %q: it is text, json, csv, sarif or html", a.Format)
	case !slices.Contains([]string{"no", "unknown", "any"}, a.FailOn):
		return usagef("--fail-on %q: it is no, unknown or any", a.FailOn)
	case a.Resume && a.State == "":
		return usagef("--resume needs --state: there an audit writes what it found as it comes")
	case a.Within <= 0:
		return usagef("--within %s: it is a time from now on", &a.Within)
	case a.Workers < 1 || a.Workers > 64:
		return usagef("--workers %d: it is 1 to 64", a.Workers)
	case a.policy.File == "" && a.Simulate != "":
		return usagef("--simulate compares with --policy, and there is none")
	case a.policy.File == "" && a.Controls != "":
		return usagef("--controls needs --policy: there a requirement says for which controls it is evidence")
	case a.Controls != "" && (a.Format == "csv" || a.Format == "sarif"):
		return usagef("--controls is printed as text, json or html")
	case a.policy.File == "":
		return a.policy.alone()
	}
	for _, name := range []string{"public-key", "certificate-chain", "certificate-subject", "identity", "identity-provider", "require-log", "log-threshold", "timestamp-threshold"} {
		if c.Flags().Changed(name) {
			return usagef("--%s and --policy exclude each other: the policy says whom to believe", name)
		}
	}
	return nil
}

func (a *auditFlags) run(c *cobra.Command, s streams, args []string) error {
	if err := a.check(c); err != nil {
		return err
	}
	scopes, err := parseScopes(args)
	if err != nil {
		return err
	}
	var framework *audit.Framework
	if a.Controls != "" {
		if framework, err = loadFramework(a.Controls); err != nil {
			return err
		}
	}
	o := audit.Options{Registry: a.net.options(), Workers: a.Workers, Within: time.Duration(a.Within), Program: version(), Resume: a.Resume}
	if a.State != "" {
		o.State = &audit.State{Dir: a.State}
	}
	j, library, err := a.judges(c.Context(), &o)
	if err != nil {
		return err
	}
	if library != nil {
		defer library.Close()
	}
	if a.net.InsecureHTTP {
		warn(s.err, "plain HTTP was allowed: --insecure-http")
	}
	bar := newProgress(s, "listed", output{JSON: a.Format == "json", Quiet: a.Quiet})
	defer bar.stop()
	o.Progress = bar.counts
	if write := a.rowWriter(s.out); write != nil {
		o.Row = func(row audit.Row) error {
			release := bar.hold()
			defer release()
			return write(row)
		}
	}
	r, err := audit.Run(c.Context(), scopes, j, o)
	bar.stop()
	if err != nil {
		if a.State != "" && c.Context().Err() != nil {
			hint(s.err, "go on where it stopped: the same with --resume")
		}
		if errors.Is(err, audit.ErrState) {
			return hintError{err, "another --state begins anew, and cannot tell what changed since the last audit"}
		}
		return err
	}
	if framework != nil {
		err = a.writeControls(s.out, audit.Controls(r, framework))
	} else {
		err = a.write(s.out, r)
	}
	if err != nil {
		return err
	}
	return a.outcome(c.Context(), s, r)
}

// judges reads by what is decided, and where inputs are found that the registries do not hold.
func (a *auditFlags) judges(ctx context.Context, o *audit.Options) (audit.Judge, *registry.Library, error) {
	var j audit.Judge
	if a.policy.File == "" {
		err := a.thresholds.apply(&j.Policy)
		if err == nil {
			j.Roots, j.Policy, err = a.whom.load(j.Policy)
		}
		return j, nil, err
	}
	file, err := a.policy.source.load(ctx, a.policy.File, a.net.options())
	if err != nil {
		return j, nil, err
	}
	where := registry.LibraryOptions{Registry: a.net.options(), Sources: file.doc.Sources}
	for _, arg := range a.policy.Evidence {
		at, err := findPlace(arg)
		switch {
		case err != nil:
			return j, nil, err
		case at.onDisk():
			where.Paths = append(where.Paths, at.path)
		default:
			where.Refs = append(where.Refs, at.ref)
		}
	}
	library, err := registry.OpenLibrary(where)
	if err != nil {
		return j, nil, err
	}
	if len(where.Paths)+len(where.Refs)+len(where.Sources) > 0 {
		o.Elsewhere = library
	}
	if j, err = a.byPolicy(file, library); err == nil && a.Simulate != "" {
		var next *policyFile
		if next, err = (&policySource{}).load(ctx, a.Simulate, a.net.options()); err == nil {
			var other audit.Judge
			other, err = a.byPolicy(next, library)
			o.Simulate = &other
		}
	}
	if err != nil {
		return j, nil, errors.Join(err, library.Close())
	}
	return j, library, nil
}

// byPolicy decides by a policy file, with what verify remembers of it. An audit lets nothing pass, so it adds nothing to
// that.
func (a *auditFlags) byPolicy(file *policyFile, library *registry.Library) (audit.Judge, error) {
	j := audit.Judge{Document: file.doc}
	var err error
	if j.Options.Sigstore, err = file.sigstore(&a.whom); err != nil {
		return j, err
	}
	if lists := file.lists(a.net.options()); lists != nil {
		j.Options.Revocations = []chain.Source{library.Lists(*lists)}
	}
	if a.State != "" {
		if j.Options.State, err = (registry.States{Dir: a.State}).Load(file.doc.Name); err != nil {
			j.Options.Problems = append(j.Options.Problems, policy.Finding{Code: policy.Unreadable, Where: a.State, Detail: err.Error()})
		}
	}
	return j, nil
}

// rowWriter writes rows as they come; nil where the format has them in order.
func (a *auditFlags) rowWriter(w io.Writer) func(audit.Row) error {
	switch {
	case a.Quiet, a.Controls != "":
		return nil
	case a.Format == "json":
		return func(row audit.Row) error {
			return writeLine(w, struct {
				Schema    string `json:"schema"`
				Type      string `json:"type"`
				audit.Row `json:",embed"`
			}{auditSchema, "row", row})
		}
	case a.Format == "text":
		return func(row audit.Row) error { return writeRow(w, &row) }
	}
	return nil
}

// auditSchema is the name and version of each line that --format json prints.
const auditSchema = "hallmark.audit/v1"

// writeLine writes v as JSON in one line.
func writeLine(w io.Writer, v any) error {
	raw, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	_, err = w.Write(append(raw, '\n'))
	return err
}

// write writes what comes after the rows, or the whole.
func (a *auditFlags) write(w io.Writer, r *audit.Report) error {
	switch a.Format {
	case "json":
		return writeLine(w, struct {
			Schema    string       `json:"schema"`
			Type      string       `json:"type"`
			At        time.Time    `json:"at"`
			Horizon   time.Time    `json:"horizon"`
			Scopes    []string     `json:"scopes"`
			Policy    string       `json:"policy"`
			Simulated string       `json:"simulated,omitempty"`
			Totals    audit.Totals `json:"totals"`
		}{auditSchema, "totals", r.At, r.Horizon, r.Scopes, r.Judge, r.Simulated, r.Totals})
	case "csv":
		return r.WriteCSV(w)
	case "sarif":
		return r.WriteSARIF(w, version())
	case "html":
		return r.WriteHTML(w)
	}
	return writeTotals(w, r)
}

// loadFramework reads the controls that come along under a name, or those of a file.
func loadFramework(name string) (*audit.Framework, error) {
	if !strings.ContainsAny(name, "./\\") {
		f, err := audit.ShippedFramework(name)
		if err != nil {
			return nil, usagef("--controls: %w", err)
		}
		return f, nil
	}
	raw, err := readAtMost(name, audit.MaxFramework)
	if err != nil {
		return nil, fmt.Errorf("--controls: %w", err)
	}
	f, err := audit.LoadFramework(raw)
	if err != nil {
		return nil, usagef("--controls %s: %w", name, err)
	}
	return f, nil
}

func (a *auditFlags) writeControls(w io.Writer, c *audit.ControlsReport) error {
	switch a.Format {
	case "json":
		return writeJSON(w, c)
	case "html":
		return c.WriteHTML(w)
	}
	return c.WriteText(w, printable)
}

// outcome is what the audit comes to. A simulation is about what gets worse.
func (a *auditFlags) outcome(ctx context.Context, s streams, r *audit.Report) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	no, unknown := r.Totals.No, r.Totals.Unknown+r.Totals.Unread
	if a.Simulate != "" {
		no, unknown = 0, r.Totals.Unread
		for _, c := range r.Totals.Worse {
			if c.Then.Verdict == policy.No {
				no++
			} else {
				unknown++
			}
		}
	}
	switch {
	case r.Totals.Artifacts == 0: // nothing is never a yes
		fmt.Fprintln(s.err, "hallmark: there was no model, adapter or dataset to decide on")
		return undecided{verdict: policy.Unknown}
	case unknown > 0 && a.FailOn != "no":
		return undecided{verdict: policy.Unknown}
	case no > 0 && a.FailOn != "unknown":
		return undecided{verdict: policy.No}
	}
	return nil
}

// days is a time that may be written in days.
type days time.Duration

// Set reads 30d, or what time.ParseDuration reads.
func (d *days) Set(s string) error {
	if n, ok := strings.CutSuffix(s, "d"); ok {
		count, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is no number of days", s)
		}
		*d = days(time.Duration(count) * 24 * time.Hour)
		return nil
	}
	t, err := time.ParseDuration(s)
	*d = days(t)
	return err
}

// Type names it for pflag.
func (d *days) Type() string { return "days" }

// String writes whole days as days.
func (d *days) String() string {
	t := time.Duration(*d)
	if day := 24 * time.Hour; t%day == 0 {
		return fmt.Sprintf("%dd", t/day)
	}
	return t.String()
}

var _ pflag.Value = (*days)(nil)
