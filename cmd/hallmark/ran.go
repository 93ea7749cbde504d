package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// exitRun is the exit code of run where it is not the command's: something failed or was refused here.
const exitRun = 125

// commandEnded is a command that failed by itself.
type commandEnded struct{ code int }

func (c commandEnded) Error() string {
	return fmt.Sprintf("the command ended with exit code %d: nothing is stated", c.code)
}

// runFailed is whatever went wrong in run and not in its command.
type runFailed struct{ err error }

func (r runFailed) Error() string { return r.err.Error() }
func (r runFailed) Unwrap() error { return r.err }

// asRun makes err run's own, unless it is the command's. The exit codes of run and of what it runs are not to be mixed up.
func asRun(err error) error {
	var ended commandEnded
	if err == nil || errors.As(err, &ended) {
		return err
	}
	return runFailed{err}
}

// What came of a run.
const (
	ranStated  = "stated"
	ranDrafted = "drafted"
	ranFailed  = "command-failed"
	ranRefused = "refused"
)

// ranResult is what run writes to --report: hallmark.ran/v1.
type ranResult struct {
	Schema   string       `json:"schema"`
	Outcome  string       `json:"outcome"`
	ExitCode int          `json:"exitCode"` // of hallmark run
	Error    string       `json:"error,omitempty"`
	Command  *ranCommand  `json:"command,omitempty"` // absent: it was not started
	Inputs   []ranInput   `json:"inputs"`
	Packages []string     `json:"packages,omitempty"` // the list whose digest is a byproduct
	Output   *ranOutput   `json:"output,omitempty"`
	Told     ranStatement `json:"statement,omitzero"`
}

type ranCommand struct {
	ExitCode   int       `json:"exitCode"`
	Signal     string    `json:"signal,omitempty"`
	StartedOn  time.Time `json:"startedOn"`
	FinishedOn time.Time `json:"finishedOn"`
}

type ranInput struct {
	Role   string `json:"role"`
	Name   string `json:"name"`
	Digest string `json:"digest,omitempty"` // absent: it was not read
}

type ranOutput struct {
	Path string `json:"path"`
	ID   string `json:"id"`
	Kind string `json:"kind"`
}

// ranStatement is where the provenance is.
type ranStatement struct {
	Bundle    string `json:"bundle,omitempty"` // its own name
	Where     string `json:"where,omitempty"`
	Signature string `json:"signature,omitempty"` // file of the artifact's signature
	Link      string `json:"link,omitempty"`      // file of the in-toto link
	Draft     string `json:"draft,omitempty"`     // file of a draft that nobody signed
}

// report writes what is known after a run that ended with failed, where a file for it is named.
func (j *runJob) report(ctx context.Context, failed error) error {
	if j.f.Report == "" {
		return nil
	}
	r := ranResult{Schema: "hallmark.ran/v1", Outcome: ranStated, ExitCode: exitCode(ctx, failed), Inputs: []ranInput{}, Packages: j.found.Packages, Told: j.told}
	var ended commandEnded
	switch {
	case errors.As(failed, &ended):
		r.Outcome = ranFailed
	case failed != nil: // a draft that was rescued is one all the same
		r.Outcome, r.Error = ranRefused, oneLine(failed.Error())
	case j.told.Draft != "":
		r.Outcome = ranDrafted
	}
	if e := j.ended; e != nil {
		r.Command = &ranCommand{ExitCode: e.Code, StartedOn: e.Started, FinishedOn: e.Finished}
		if e.Signal != nil {
			r.Command.Signal = e.Signal.String()
		}
	}
	for _, in := range j.inputs {
		i := ranInput{Role: string(in.role), Name: in.name}
		if in.made.Digest.Hex != "" {
			i.Digest = in.made.Digest.String()
		}
		r.Inputs = append(r.Inputs, i)
	}
	if j.made != nil {
		r.Output = &ranOutput{j.output, j.made.on.ID, string(j.made.on.Kind)}
	}
	var raw bytes.Buffer
	err := writeJSON(&raw, r)
	if err == nil {
		err = replaceFile(j.f.Report, raw.Bytes())
	}
	if err != nil {
		return runFailed{fmt.Errorf("write report: %w", err)}
	}
	return nil
}
