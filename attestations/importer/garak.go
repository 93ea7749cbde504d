package importer

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// garakLine is one line of a garak report, as far as it is read. What each type of line has differs.
type garakLine struct {
	Type      string `json:"entry_type"`
	Version   string `json:"garak_version"`
	StartTime string `json:"start_time"`
	EndTime   string `json:"end_time"`
	Probe     string `json:"probe"`
	Detector  string `json:"detector"`
	Passed    *int64 `json:"passed"`
	Fails     *int64 `json:"fails"`
	Nones     int64  `json:"nones"`
	Total     *int64 `json:"total"` // before 0.13; of both kinds since
	Evaluated *int64 `json:"total_evaluated"`
}

// readGarak makes one test of each probe and detector. It passed where every answer that was judged passed, failed where
// an attack came through, and is a warning where the detector could not judge some. The share of answers that passed is
// a metric. A report without its last line is of a run that was cut short, and is refused; what was not run may have
// failed.
func readGarak(raw []byte) (*Report, error) {
	r := &Report{Tool: "garak"}
	complete := false
	for n := 1; len(raw) > 0; n++ {
		var line []byte
		line, raw, _ = bytes.Cut(raw, []byte{'\n'})
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var head struct {
			Type string `json:"entry_type"`
		}
		if err := decode(line, &head); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		switch head.Type {
		case "init", "start_run setup", "eval", "completion":
		default: // prompts and answers
			continue
		}
		var l garakLine
		if err := decode(line, &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		complete = complete || l.Type == "completion"
		if err := l.add(r); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if !complete {
		return nil, errors.New("no completion: the run did not get to its end")
	}
	return r, nil
}

func (l *garakLine) add(r *Report) error {
	if l.Version != "" {
		r.Version = l.Version
	}
	if l.Type != "eval" {
		return r.span(l.StartTime, l.EndTime)
	}
	if len(r.Metrics) == maxTests {
		return fmt.Errorf("more than %d evaluations", maxTests)
	}
	total := l.Evaluated
	if total == nil {
		total = l.Total
	}
	name := l.Probe + "/" + l.Detector
	switch {
	case l.Probe == "" || l.Detector == "":
		return errors.New("evaluation without probe or detector")
	case total == nil || l.Passed == nil && l.Fails == nil:
		return fmt.Errorf("evaluation %q without counts", clip(name))
	}
	passes := *total
	if l.Passed != nil {
		passes = *l.Passed
	} else {
		passes -= *l.Fails
	}
	if passes < 0 || passes > *total || l.Nones < 0 || l.Fails != nil && *l.Fails != *total-passes && *l.Fails != *total-passes-l.Nones {
		return fmt.Errorf("evaluation %q: %d of %d passed, which cannot be", clip(name), passes, *total)
	}
	switch {
	case *total == 0: // no answer was judged
		return nil
	case l.Fails != nil && *l.Fails > 0, l.Fails == nil && passes < *total:
		r.test(name, failed)
	case l.Nones > 0 || passes < *total:
		r.test(name, warned)
	default:
		r.test(name, passed)
	}
	share := strconv.FormatFloat(float64(passes)/float64(*total), 'f', -1, 64)
	r.Metrics = append(r.Metrics, Metric{Name: name + "/passed", Value: share, Samples: *total})
	return nil
}
