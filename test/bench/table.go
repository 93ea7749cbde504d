package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// writeJSON prints the report as one object, hallmark.bench/v1.
func writeJSON(w io.Writer, r *report) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	_, err = w.Write(append(raw, '\n'))
	return err
}

// writeText prints the report for people.
func writeText(w io.Writer, r *report) error {
	out := &errorWriter{w: w}
	m := r.Machine
	fmt.Fprintf(out, "%s, %s, %d cores", m.OS, m.CPU, m.Cores)
	if m.Memory >= 0 {
		fmt.Fprintf(out, ", %s of memory", formatBytes(m.Memory))
	}
	fmt.Fprintf(out, "; medians of %d runs in turns, warm page cache\n", r.Runs)
	if r.Scale > 1 {
		fmt.Fprintf(out, "a quick look: 1/%d of the data, where starting up weighs more; the targets are meant for all of it\n", r.Scale)
	}
	fmt.Fprintln(out)
	writeTools(out, r.Tools)
	for _, row := range r.Rows {
		writeRow(out, row)
	}
	writeTargets(out, r.Targets)
	for _, note := range r.Notes {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	return out.err
}

func writeTools(w io.Writer, tools []*tool) {
	t := table{header: []string{"tool", "version", ""}}
	for _, tool := range tools {
		version, note := tool.Version, tool.Note
		if tool.Missing != "" {
			version, note = dash, "not measured: "+tool.Missing
		}
		t.add(tool.Name, version, note)
	}
	t.write(w)
}

func writeRow(w io.Writer, r *row) {
	title := r.name()
	if r.Files > 0 {
		title += ": " + describeData(r.Files, r.Bytes)
	}
	fmt.Fprintln(w, title)
	t := table{header: []string{"", "time", "spread", "rate", "to ours", "cores", "peak RSS", "anonymous", ""}, right: 8}
	for _, e := range r.Entries {
		if e.Reason != "" {
			t.add(e.Tool, dash, dash, dash, dash, dash, dash, dash, e.Reason)
			continue
		}
		m := e.median()
		t.add(e.Tool, formatTime(m), fmt.Sprintf("%.0f %%", 100*spread(e.wall)), formatRate(r.Bytes, m), formatRatio(e.Ratio),
			fmt.Sprintf("%.1f", e.Cores), formatBytes(e.PeakRSS), formatBytes(e.PeakAnon), "")
	}
	t.write(w)
}

func writeTargets(w io.Writer, targets []target) {
	fmt.Fprintln(w, "targets")
	t := table{header: []string{"", "wanted", "measured"}}
	for _, target := range targets {
		mark := "✗"
		switch {
		case target.Unknown:
			mark = "?"
		case target.Met:
			mark = "✓"
		}
		t.add(mark, target.Wanted, target.Measured)
	}
	t.write(w)
}

// dash stands where there is no number.
const dash = "—"

// table is text in columns.
type table struct {
	header []string
	right  int // so many columns after the first are numbers, and stand to the right
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write prints the columns as wide as their widest cell, and an empty line after them.
func (t *table) write(w io.Writer) {
	lines := append([][]string{t.header}, t.rows...)
	widths := make([]int, len(t.header))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			b.WriteString("  ")
			if i > 0 && i < t.right {
				b.WriteString(space + cell)
			} else {
				b.WriteString(cell + space)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
	fmt.Fprintln(w)
}

// describeData is a dataset in words: "8 files of 512 MiB".
func describeData(files int, bytes int64) string {
	if files == 1 {
		return "1 file of " + formatBytes(bytes)
	}
	return fmt.Sprintf("%d files of %s", files, formatBytes(bytes/int64(files)))
}

// formatBytes writes a number of bytes in binary units, and the dash for a negative one.
func formatBytes(n int64) string {
	switch {
	case n < 0:
		return dash
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return trimZero(float64(n)/(1<<10)) + " KiB"
	case n < 1<<30:
		return trimZero(float64(n)/(1<<20)) + " MiB"
	}
	return trimZero(float64(n)/(1<<30)) + " GiB"
}

func trimZero(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

func formatTime(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", 1000*d.Seconds())
	}
	return fmt.Sprintf("%.3f s", d.Seconds())
}

func formatRate(bytes int64, d time.Duration) string {
	if bytes <= 0 || d <= 0 {
		return dash
	}
	return fmt.Sprintf("%.0f MB/s", float64(bytes)/1e6/d.Seconds())
}

func formatRatio(r float64) string {
	if r == 0 {
		return dash
	}
	return fmt.Sprintf("%.2f", r)
}

// errorWriter remembers the first write that failed.
type errorWriter struct {
	w   io.Writer
	err error
}

func (e *errorWriter) Write(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	n, err := e.w.Write(p)
	e.err = err
	return n, err
}
