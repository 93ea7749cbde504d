package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/pflag"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/registry"
)

func (o *output) bind(f *pflag.FlagSet, quiet string) {
	f.BoolVar(&o.JSON, "json", false, "print one JSON object")
	f.BoolVar(&o.Quiet, "quiet", false, quiet)
}

// When progress begins to show, and how often where there is no terminal.
const (
	progressAfter = time.Second
	progressEvery = 10 * time.Second
)

// progress shows on stderr how far a long step is: a bar on a terminal, a line every ten seconds elsewhere, nothing
// within the first second. The nil progress shows nothing.
type progress struct {
	mu       sync.Mutex
	s        streams
	verb     string
	began    time.Time
	last     time.Time
	terminal bool
	things   bool // things are counted, not bytes
	bars     *mpb.Progress
	bar      *mpb.Bar
	held     int // how many have something else on the terminal
	stopped  bool
}

func newProgress(s streams, verb string, o output) *progress {
	if o.JSON || o.Quiet {
		return nil
	}
	now := time.Now()
	p := &progress{s: s, verb: verb, began: now, last: now}
	if f, ok := s.err.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	return p
}

// counts is update for things of which the word says what became of them. Another word begins anew.
func (p *progress) counts(word string, done, total int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	if p.verb != word || !p.things {
		p.clear()
		p.verb, p.things = word, true
	}
	p.mu.Unlock()
	p.update(int64(done), int64(total))
}

// update says that done of total bytes are through. It may be called by several goroutines.
func (p *progress) update(done, total int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case p.stopped || p.held > 0 || now.Sub(p.began) < progressAfter:
	case p.terminal:
		if p.bar == nil { // with a total of nothing, so that it can still grow
			p.bars = mpb.New(mpb.WithOutput(p.s.err), mpb.WithWidth(40), mpb.WithAutoRefresh())
			counted, speed := decor.CountersKiloByte("% .1f / % .1f"), decor.NewAverageSpeed(decor.SizeB1000(0), "% .1f  ", p.began)
			if p.things {
				counted, speed = decor.CountersNoUnit("%d / %d"), decor.NewAverageSpeed(nil, "%.0f/s  ", p.began)
			}
			p.bar = p.bars.AddBar(0, mpb.BarRemoveOnComplete(), mpb.PrependDecorators(decor.Name(p.verb+" "), counted),
				mpb.AppendDecorators(speed, decor.NewAverageETA(decor.ET_STYLE_GO, p.began, nil)))
		}
		p.bar.SetTotal(total, false)
		p.bar.SetCurrent(done)
	case now.Sub(p.last) >= progressEvery:
		p.last = now
		if p.things {
			fmt.Fprintf(p.s.err, "hallmark: %s %d of %d\n", p.verb, done, total)
			return
		}
		rate := int64(float64(done) / now.Sub(p.began).Seconds())
		fmt.Fprintf(p.s.err, "hallmark: %s % .1f of % .1f, % .1f/s\n", p.verb, decor.SizeB1000(done), decor.SizeB1000(total), decor.SizeB1000(rate))
	}
}

// together shows the progress of several artifacts as one. It returns a function for each to report with.
func (p *progress) together() func() func(done, total int64) {
	var mu sync.Mutex
	var allDone, all int64
	return func() func(int64, int64) {
		var done, total int64
		return func(d, t int64) {
			mu.Lock()
			defer mu.Unlock()
			d = max(d, done) // reports of several goroutines overtake each other
			allDone, all = allDone+d-done, all+t-total
			done, total = d, t
			p.update(allDone, all)
		}
	}
}

// hold makes room on the terminal until release is called.
func (p *progress) hold() (release func()) {
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.held++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.held--
	}
}

// clear takes the bar away; the next update brings it back.
func (p *progress) clear() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
		p.bar = nil
	}
}

// stop ends the display; more calls do nothing.
func (p *progress) stop() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.stopped = true
}

// event is what happened to a layer, as --json prints it on stderr, one object a line.
type event struct {
	Schema string `json:"schema"`
	Event  string `json:"event"`
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Done   int64  `json:"done"`
	Total  int64  `json:"total"`
	Error  string `json:"error,omitempty"`
}

// events prints what happens to each layer where JSON is asked for; elsewhere the progress says enough.
func events(s streams, o output) func(registry.Event) {
	if !o.JSON {
		return nil
	}
	return func(e registry.Event) {
		line := event{Schema: "hallmark.event/v1", Event: string(e.Kind), Name: e.Name, Digest: e.Digest, Done: e.Done, Total: e.Total}
		if e.Err != nil {
			line.Error = e.Err.Error()
		}
		if raw, err := json.Marshal(line, jsontext.AllowInvalidUTF8(true)); err == nil {
			fmt.Fprintf(s.err, "%s\n", raw)
		}
	}
}

// build hashes an artifact on disk and shows how far it is.
func build(ctx context.Context, s streams, path string, o manifest.Options, out output) (*manifest.Manifest, error) {
	bar := newProgress(s, "hashed", out)
	defer bar.stop()
	o.Progress = bar.update
	return manifest.Build(ctx, path, o)
}

// notText reports whether a terminal could take r for something else than text.
func notText(r rune) bool {
	return r == unicode.ReplacementChar || !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r)
}
