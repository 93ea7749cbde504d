package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestTableAlignsColumns(t *testing.T) {
	table := table{header: []string{"", "time", "note"}, right: 2}
	table.add("ours", "1.0 s", "")
	table.add("naïve", "12.0 s", "slow")
	var out strings.Builder
	table.write(&out)
	want := "" +
		"           time  note\n" +
		"  ours    1.0 s\n" +
		"  naïve  12.0 s  slow\n" +
		"\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestNumbersReadWell(t *testing.T) {
	for got, want := range map[string]string{
		formatBytes(-1):                     "—",
		formatBytes(512):                    "512 B",
		formatBytes(1536):                   "1.5 KiB",
		formatBytes(64 << 20):               "64 MiB",
		formatBytes(4 << 30):                "4 GiB",
		formatTime(9500 * time.Microsecond): "9.5 ms",
		formatTime(2500 * time.Millisecond): "2.500 s",
		formatRate(2e9, 2*time.Second):      "1000 MB/s",
		formatRate(0, time.Second):          "—",
		formatRatio(0):                      "—",
		formatRatio(1.234):                  "1.23",
		describeData(1, 4<<30):              "1 file of 4 GiB",
		describeData(8, 4<<30):              "8 files of 512 MiB",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// measuredReport has a tool of every fate: measured, missing, failed.
func measuredReport() *report {
	r := rowOf("one", hash, 1,
		measured(hallmarkName, false, 100),
		measured(opensslName, true, 150),
		&entry{Tool: sha256Name, Peer: true, Reason: "not found in $PATH", PeakRSS: -1, PeakAnon: -1})
	return &report{
		Schema: "hallmark.bench/v1", Machine: newMachine(), Runs: 5, Scale: 4,
		Tools: []*tool{{Name: hallmarkName, Version: "1.0"}, {Name: sha256Name, Missing: "not found in $PATH"}},
		Rows:  []*row{r}, Targets: judge([]*row{r}, 2), Notes: []string{"little memory"},
	}
}

func TestTextNamesWhatIsMissing(t *testing.T) {
	var out bytes.Buffer
	if err := writeText(&out, measuredReport()); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{
		"one/hash: 1 file of", "1.50", "not measured: not found in $PATH", "1/4 of the data", "note: little memory",
		"✓  one/hash: not slower than openssl", "?  one/hash: not slower than sha256sum",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  sha256sum") && !strings.Contains(line, dash) {
			t.Errorf("no dash for what was not measured: %q", line)
		}
	}
}

func TestJSONHoldsEveryRun(t *testing.T) {
	var out bytes.Buffer
	if err := writeJSON(&out, measuredReport()); err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != 1 || len(got.Rows[0].Entries) != 3 {
		t.Fatalf("got %+v, want one row of three tools", got.Rows)
	}
	if e := got.Rows[0].Entries[1]; len(e.Seconds) != 3 || e.Median != 150 || e.Ratio != 1.5 {
		t.Errorf("got %+v, want three runs, a median of 150 s and a ratio of 1.5", e)
	}
	if got.Rows[0].Entries[2].Reason == "" || len(got.Targets) == 0 {
		t.Errorf("got %+v, want the reason and the targets", got)
	}
}

func TestWriteTextSaysWhereItCouldNot(t *testing.T) {
	full := errors.New("disk full")
	if err := writeText(failingWriter{full}, measuredReport()); !errors.Is(err, full) {
		t.Errorf("error is %v, want %v", err, full)
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }
