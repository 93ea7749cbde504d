package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
)

// job is one artifact to sign.
type job interface {
	what() string                                                                          // the artifact, as the caller named it
	prepare(ctx context.Context) (*manifest.Manifest, error)                               // finds out what there is to sign
	store(ctx context.Context, made attestations.Signed, by signer.Signer) (string, error) // returns where the signature is
}

// atOnce is how many artifacts are on their way at the same time. Signing waits for servers most of the time, and they
// limit how much one caller may ask for.
const atOnce = 16

// result is what came of a job.
type result struct {
	what   string
	where  string
	made   attestations.Signed
	stated *stated // by whom the bytes are, where none was read here
	cached int     // files that were not read
	files  int
	err    error
}

// signAll signs every artifact, several at the same time, and shows each result in order as soon as it is there. What
// fails with one of them costs the others nothing: its error is printed in its turn, and all of them come back together
// as severalErrors. With one job its error comes back as it is.
//
// A token is first asked for when by signs, so after the first artifact was hashed, and again only when the certificate
// that it brought is at its end.
func signAll(ctx context.Context, s streams, jobs []job, kind attestations.Kind, by signer.Signer, bar *progress, out output) error {
	results := make([]chan result, len(jobs))
	free := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	defer running.Wait()
	for i, j := range jobs {
		results[i] = make(chan result, 1)
		running.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			results[i] <- signOne(ctx, j, kind, by)
		})
	}
	var failed []error
	for i := range jobs {
		r := <-results[i]
		release := bar.hold()
		err := r.err
		if err == nil {
			err = r.show(s, kind, out)
		}
		switch {
		case err == nil:
		case len(jobs) == 1:
			return err
		default:
			err = fmt.Errorf("sign %s: %w", r.what, err)
			failed = append(failed, errors.Join(err, showFailed(ctx, s, r.what, err, out)))
		}
		release()
	}
	if len(failed) > 0 {
		return severalErrors{failed}
	}
	return nil
}

func signOne(ctx context.Context, j job, kind attestations.Kind, by signer.Signer) (r result) {
	r.what = j.what()
	if c, ok := j.(interface{ close() error }); ok {
		defer func() { r.err = errors.Join(r.err, c.close()) }()
	}
	if ctx.Err() != nil {
		r.err = context.Cause(ctx)
		return r
	}
	m, err := j.prepare(ctx)
	if err == nil {
		r.cached, r.files = m.Cached, len(m.Files)
		r.made, err = attestations.SignArtifact(ctx, m, kind, by)
	}
	if err == nil {
		r.where, err = j.store(ctx, r.made, by)
	}
	if d, ok := j.(interface{ describe() *stated }); ok {
		r.stated = d.describe()
	}
	r.err = err
	return r
}

// failedResult is what sign prints as JSON for an artifact that it did not sign, where there are several:
// hallmark.unsigned/v1.
type failedResult struct {
	Schema   string `json:"schema"`
	Artifact string `json:"artifact"`
	Error    string `json:"error"`
}

func showFailed(ctx context.Context, s streams, what string, failed error, out output) error {
	if ctx.Err() != nil { // said once, at the end
		return nil
	}
	report(ctx, s.err, failed)
	if !out.JSON {
		return nil
	}
	return writeJSON(s.out, failedResult{"hallmark.unsigned/v1", what, failed.Error()})
}

// share divides the machine's cores among artifacts that are hashed at the same time. One alone gets all of them; of
// many, as many as there are cores are read at a time, each with a few workers, so that the last one to end, and it may
// be the largest, is not left with one. Twice the cores are busy in all: half of them wait for the disk.
type share struct {
	slots   chan struct{}
	workers int // for each; 0: one per core
}

func newShare(artifacts int) *share {
	cores := runtime.GOMAXPROCS(0)
	at := max(1, min(artifacts, cores))
	s := &share{slots: make(chan struct{}, at)}
	if at > 1 {
		s.workers = (2*cores + at - 1) / at
	}
	return s
}

// of is o for one artifact's part.
func (s *share) of(o manifest.Options, progress func(done, total int64)) manifest.Options {
	o.Workers, o.Progress = s.workers, progress
	return o
}

func (s *share) take(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *share) give() { <-s.slots }
