package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/host"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/process"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/registry"
)

// runName is the one command whose exit codes are another's.
const runName = "run"

// runFlags is what a command is run for, on what, and what becomes of what is known then.
type runFlags struct {
	claimFlags
	Type       string
	Inputs     []string
	Output     string
	Container  string
	Builder    string
	Parameters []string
	Env        []string
	Redact     []string
	Report     string
	Unsigned   string
	Link       string
	Sign       bool
}

func newRun(s streams) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   runName + " --type TYPE --input ROLE=PATH|REF… --output PATH -- COMMAND…",
		Short: "Run a command that makes an artifact, and state from what it was made",
		Long: `Run a training, a conversion, a merge: hash its inputs, run the command, see that the inputs are still the same, hash the
output, and sign SLSA provenance on it. With --unsigned the statement is left as a draft for a signer elsewhere
(hallmark sign --statement), and this machine needs no key and no token.

The command has the terminal, the streams and the signals to itself; run waits until all that it started has ended. It gets
no identity token, no HALLMARK_ variable and no password from the environment. Key files are read before it starts, tokens
fetched after it ended. Where it fails nothing is stated.

Exit codes: the command's own; 128 and the signal's number where a signal ended it; 125 where run itself failed or refused,
before or after; 130 and 143 where it was interrupted while it hashed. --report tells them apart.`,
		Example: `  hallmark run --type finetune --input base-model=./base --input dataset.train=./corpus --output ./chat \
    --private-key trainer.key -- python train.py --epochs 3
  hallmark run --type quantize --input base-model=registry.example/llm/chat@sha256:… --output ./chat-int8 \
    --parameter scheme=int8 --unsigned draft.json -- ./quantize.sh`,
		Args: func(c *cobra.Command, args []string) error {
			if c.ArgsLenAtDash() != 0 || len(args) == 0 {
				return errors.New("the command stands after --")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			j := &runJob{f: &f, s: s, args: args}
			err := asRun(j.do(c.Context()))
			j.close()
			return errors.Join(err, j.report(c.Context(), err))
		},
	}
	f.bindRun(c)
	return c
}

func (f *runFlags) bindRun(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.Type, "type", "", "what is done: `train`, finetune, adapter, merge, distill, quantize, prune, convert, package or dataset-prepare")
	flags.StringArrayVar(&f.Inputs, "input", nil, "`ROLE=PATH|REF` that it is made from, or ROLE:NAME=…, such as base-model=./base, dataset.train=./corpus, source=git+https://HOST/PATH@COMMIT (repeats)")
	flags.StringVar(&f.Output, "output", "", "`PATH` of the artifact that the command makes: nothing is there yet, or an empty directory")
	flags.StringVar(&f.kind, "kind", "", "what it makes: `model`, adapter or dataset; default: by the type")
	flags.StringVar(&f.Container, "container", "", "`REF@sha256:…` of the image that this runs in")
	flags.StringVar(&f.Builder, "builder", attestations.BuilderRun, "`URI` of who runs this")
	flags.StringArrayVar(&f.Parameters, "parameter", nil, "`NAME=VALUE` that was chosen, such as seed=7; weights.PARENT=0.5 for a merge (repeats)")
	flags.StringArrayVar(&f.Env, "env", nil, "`NAME` of an environment variable to record; none else is (repeats)")
	flags.StringArrayVar(&f.Redact, "redact", nil, "regular `EXPRESSION` for secrets in the command that no built-in rule knows: its last group is hidden, or all of it (repeats)")
	flags.StringVar(&f.Unsigned, "unsigned", "", "leave the statement in `FILE`, for a signer elsewhere, instead of signing it")
	flags.BoolVar(&f.Sign, "sign", false, "also sign the artifact, as hallmark sign does")
	flags.StringVar(&f.Link, "link", "", "also write an in-toto link of the step to `FILE`, signed with the same key: ECDSA or Ed25519")
	flags.StringVar(&f.Report, "report", "", "write exit codes and what was stated to `FILE`, as JSON, however it ends")
	f.list.bind(flags)
	f.with.bind(flags)
	f.net.bindRegistry(flags)
	flags.BoolVar(&f.out.Quiet, "quiet", false, "say nothing of what was done")
}

// runJob is one run.
type runJob struct {
	f    *runFlags
	s    streams
	args []string

	build    attestations.BuildType
	kind     attestations.Kind
	output   string   // as it was typed
	environ  []string // the command's
	redactor *process.Redactor
	inputs   []*input
	found    host.Facts
	by       signer.Signer // nil: a draft

	ended  *process.Result    // nil: the command was not started
	hashed *manifest.Manifest // of the output; nil: there is none
	made   *claimed           // the same
	told   ranStatement
}

// do is the whole run. What it learns stays in j, for the report.
func (j *runJob) do(ctx context.Context) error {
	if err := j.prepare(); err != nil {
		return err
	}
	if err := j.load(ctx); err != nil {
		return err
	}
	if err := j.before(ctx); err != nil {
		return err
	}
	p, err := j.provenance()
	if err != nil {
		return err
	}
	if err := j.run(ctx); err != nil {
		return err
	}
	for _, in := range j.inputs {
		if err := in.again(ctx, j.s, j.f); err != nil {
			return err
		}
	}
	if err := j.hash(ctx); err != nil {
		return err
	}
	p.RunDetails.Metadata.StartedOn, p.RunDetails.Metadata.FinishedOn = j.ended.Started.Truncate(time.Second), j.ended.Finished.Truncate(time.Second)
	if len(j.ended.Passed) > 0 {
		p.BuildDefinition.InternalParameters.Facts["signals"] = strings.Join(j.ended.Passed, " ")
	}
	return j.state(ctx, p)
}

// run runs the command. That it failed is a commandEnded.
func (j *runJob) run(ctx context.Context) error {
	back := j.s.leaveSignals()
	r, err := process.Run(ctx, process.Command{
		Args: j.args, Env: j.environ, In: fileOf(j.s.in), Out: fileOf(j.s.out), Err: fileOf(j.s.err),
		Waiting: func(left int) {
			fmt.Fprintf(j.s.err, "hallmark: the command has ended, and what it started has not: waiting for %s\n", count(left, "process", "processes"))
		},
	})
	back()
	if err != nil {
		return err
	}
	j.ended = &r
	if !r.Succeeded() {
		return commandEnded{r.Code}
	}
	return nil
}

// fileOf is the file behind a stream; nil where there is none.
func fileOf(stream any) *os.File {
	if w, ok := stream.(*checkedWriter); ok {
		stream = w.w
	}
	f, _ := stream.(*os.File)
	return f
}

// hash reads what the command made. It may not bring evidence of its own: what is left out of the artifact would be its
// choice, and so would be what is said about it.
func (j *runJob) hash(ctx context.Context) error {
	info, err := os.Lstat(j.output)
	if err != nil {
		return refusal{fmt.Errorf("the command ended well and made no output: %w", err)}
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return refusal{fmt.Errorf("output %s: it is no file or directory", printable(j.output))}
	}
	places, err := registry.PlacesOf(j.output)
	if err != nil {
		return err
	}
	for _, reserved := range []string{places.Signature, places.Claims, places.Outside} {
		if reserved == "" {
			continue
		}
		if _, err := os.Lstat(reserved); !errors.Is(err, fs.ErrNotExist) {
			return refusal{fmt.Errorf("%s is there, a name that is kept for evidence on the output", printable(reserved))}
		}
	}
	o := manifest.Options{IgnorePaths: j.f.list.IgnorePaths, AllowSymlinks: j.f.list.AllowSymlinks}
	m, err := build(ctx, j.s, j.output, o, j.f.out)
	if err != nil {
		return fmt.Errorf("output %s: %w", printable(j.output), err)
	}
	c := &claimed{path: j.output}
	c.on.Name, c.on.Kind = m.Name, j.kind
	if c.on.ID, err = m.ID(); err == nil {
		j.hashed, j.made = m, c
	}
	return err
}

// state signs the provenance of what was made and stores it there, or leaves it as a draft. After days of training it is not
// lost where signing fails: then it is left as a draft too.
func (j *runJob) state(ctx context.Context, p attestations.Provenance) error {
	statement, err := attestations.NewStatement(j.made.on, p)
	if err != nil {
		return refusal{err}
	}
	if j.by == nil {
		return j.draft(j.f.Unsigned, statement)
	}
	opened, where, err := j.made.sign(ctx, "", statement, j.by)
	if err != nil {
		rescued := filepath.Clean(j.output) + ".draft.json"
		if failed := j.draft(rescued, statement); failed != nil {
			return errors.Join(err, failed)
		}
		return hintError{err, "nothing of the run is lost: hallmark sign --statement " + shellWord(rescued) + " --as FILE"}
	}
	j.told.Bundle, j.told.Where = opened.Name(), where
	if !j.f.out.Quiet {
		if err := showClaim(streams{out: j.s.err}, j.made, p, opened, where, output{}); err != nil { // stdout is the command's
			return err
		}
	}
	if j.f.Sign {
		if err := j.sign(ctx); err != nil {
			return err
		}
	}
	if j.f.Link != "" {
		return j.link(ctx, p)
	}
	return nil
}

// draft leaves the statement in a file, for a signer elsewhere.
func (j *runJob) draft(path string, statement attestations.Statement) error {
	if err := replaceFile(path, statement.Payload()); err != nil {
		return fmt.Errorf("write draft: %w", err)
	}
	j.told.Draft = path
	if !j.f.out.Quiet {
		fmt.Fprintf(j.s.err, "hallmark: drafted %s about %s %s in %s\n", attestations.PredicateProvenance, printable(j.output), j.made.on.ID, printable(path))
	}
	return nil
}

// sign signs the artifact itself.
func (j *runJob) sign(ctx context.Context) error {
	made, err := attestations.SignArtifact(ctx, j.hashed, j.kind, j.by)
	if err != nil {
		return err
	}
	j.told.Signature, err = storeBeside(ctx, j.output, "", made, j.by)
	if err == nil && !j.f.out.Quiet {
		fmt.Fprintf(j.s.err, "signed  %s\n", printable(j.told.Signature))
	}
	return err
}

// link writes the same step as an in-toto link.
func (j *runJob) link(ctx context.Context, p attestations.Provenance) error {
	l := attestations.NewLink(j.f.Type, p.BuildDefinition.ExternalParameters.Command)
	for _, in := range j.inputs {
		l.AddMaterials(in.name, in.single, in.files)
	}
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		if d.Digest.Class == attestations.ClassGitCommit {
			l.AddCommit(d.Name, d.Digest.Hex)
		}
	}
	l.AddProducts(j.made.on.Name, j.hashed.Single, j.hashed.Files)
	raw, err := l.Sign(ctx, j.by)
	if err != nil {
		return err
	}
	if err := replaceFile(j.f.Link, raw); err != nil {
		return fmt.Errorf("write link: %w", err)
	}
	j.told.Link = j.f.Link
	return nil
}

func (j *runJob) close() {
	for _, in := range j.inputs {
		in.close()
	}
}
