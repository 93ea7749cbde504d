package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// streams are what a command reads and writes. Results go to out, everything else to err.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer

	person func() bool          // whether somebody can be asked; nil: the streams tell
	leave  func() (back func()) // lets signals be somebody else's until back; nil: nobody minds them here
}

// leaveSignals calls leave.
func (s streams) leaveSignals() (back func()) {
	if s.leave == nil {
		return func() {}
	}
	return s.leave()
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	out := &checkedWriter{w: s.out}
	s.out = out
	root := newRoot(s)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	c, err := root.ExecuteContextC(ctx)
	if c.Name() == runName {
		err = asRun(err) // wrong flags too
	}
	if err == nil && out.err != nil { // a result that nobody could read is not a result
		err = fmt.Errorf("write output: %w", out.err)
	}
	report(ctx, s.err, err)
	return exitCode(ctx, err)
}

// report prints err for people. A decision was printed already, what is wrong with each of several artifacts was too,
// and who interrupted knows why.
func report(ctx context.Context, w io.Writer, err error) {
	var verdict undecided
	var several severalErrors
	if errors.As(err, &verdict) {
		err = verdict.after
	}
	if err == nil || errors.As(err, &several) && ctx.Err() == nil {
		return
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	fmt.Fprintf(w, "hallmark: %s\n", oneLine(err.Error()))
	var h hintError
	if errors.As(err, &h) {
		hint(w, h.hint)
	}
}

// oneLine spells out what a terminal could take for something else than text; several errors stand in one line.
func oneLine(s string) string {
	var b strings.Builder
	for i, w := 0, 0; i < len(s); i += w {
		var r rune
		r, w = utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n':
			b.WriteString("; ")
		case r == utf8.RuneError && w == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case notText(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hint(w io.Writer, text string) { fmt.Fprintf(w, "hallmark: hint: %s\n", text) }

func warn(w io.Writer, text string) { fmt.Fprintf(w, "hallmark: warning: %s\n", text) }

// checkedWriter remembers the first write that failed.
type checkedWriter struct {
	w   io.Writer
	err error
}

func (c *checkedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "hallmark",
		Short: "Name, sign, store and verify models and datasets",
		Long: `Hallmark answers one question before a model is served: is this, byte for byte, the model that was signed,
by whom, and may it run here?

Every flag accepts _ for -, and has a twin in the environment: --public-key is HALLMARK_PUBLIC_KEY
(a flag that repeats takes one value a line). What hallmark revoke revokes has to be typed.

Exit codes: 0 yes, or done; 1 no; 3 don't know; 4 wrong usage; 130 interrupted; 143 terminated. Whatever is not 0 blocks.
hallmark run has those of the command that it runs, and 125.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return fromEnvironment(c.Flags(), os.LookupEnv) },
		Args:              cobra.NoArgs,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return withUsage(c, err) })
	root.AddCommand(newDigest(s), newRun(s), newSign(s), newVerify(s), newAudit(s), newInspect(s), newAttest(s), newApprove(s), newRelease(s), newDeploy(s), newIngest(s), newShow(s),
		newPolicy(s), newRevoke(s), newExport(s), newPush(s), newPull(s), newCopy(s), newIndex(s), newLineage(s), newImpact(s), newTrust(s), newKeygen(s), newVersion(s))
	for _, c := range withBelow(root) {
		if check := c.Args; check != nil {
			c.Args = func(c *cobra.Command, args []string) error {
				if err := check(c, args); err != nil {
					return withUsage(c, err)
				}
				return nil
			}
		}
	}
	return root
}

// withBelow is c and all commands below it.
func withBelow(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		all = append(all, withBelow(sub)...)
	}
	return all
}

// withUsage makes err wrong usage and points to the command's help.
func withUsage(c *cobra.Command, err error) error {
	return usageError{hintError{err, c.CommandPath() + " --help"}}
}

// typed has the flags of those names taken from the command line alone: where they say what is done, and not how, a variable
// that was set for another command would do it.
func typed(flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		flags.Lookup(name).Annotations = map[string][]string{typedOnly: {"true"}}
	}
}

const typedOnly = "hallmark-typed-only"

// fromEnvironment sets every flag that was not typed from its twin in the environment. Insecure flags have none.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || strings.HasPrefix(f.Name, "insecure-") || f.Annotations[typedOnly] != nil || failed != nil {
			return
		}
		name := "HALLMARK_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := lookup(name)
		if !ok {
			return
		}
		values := []string{value}
		if f.Value.Type() == "stringArray" {
			values = strings.Split(strings.TrimRight(value, "\n"), "\n")
		}
		for _, v := range values {
			if err := flags.Set(f.Name, v); err != nil {
				failed = usagef("environment variable %s: %w", name, err)
			}
		}
	})
	return failed
}
