package audit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/hallmark-project/hallmark/attestations/importer"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// hostile are texts that do harm where somebody takes them for something else than text.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</code></table><h1>yes</h1>`, `{{.Judge}}`, `javascript:alert(1)`,
	`=cmd|' /C calc'!A0`, `+1`, `-1`, `@SUM(1)`, "\t=1", "\r=1", "a,b;\"c\"\nno,yes",
	"\x1b[2J\x1b[31mno\x1b[0m", "\x00\x07\x9b31m", "abc\u202egpj.exe", "a\u200bb", "\xff\xfe", strings.Repeat("long", 500),
}

// hostileReport has each of them in each place that can hold text from outside.
func hostileReport() *Report {
	r := &Report{At: then, Horizon: then.Add(DefaultWithin), Judge: "signed by somebody"}
	for _, s := range hostile {
		no := policy.No
		r.Scopes = append(r.Scopes, s)
		r.Rows = append(r.Rows, Row{Class: ClassArtifact, Repository: s, Tags: []string{s}, Digest: "sha256:" + strings.Repeat("0", 64), Kind: s, MediaType: s,
			Reasons: []policy.Reason{policy.NoEvidence}, Detail: s, Signers: []string{s}, Strangers: []string{s}, Predicates: []string{s},
			Links: []Link{{Role: s, Name: s, Class: "artifact", Digest: s, URI: s, Verdict: &no, Reasons: []policy.Reason{policy.Stale}, Why: s}}, Revoked: []string{s},
			Soon: &Coming{At: then}, Simulated: &Outcome{}})
		r.Totals.Unexpected = append(r.Totals.Unexpected, Signing{s, s, s})
		r.Totals.Moved = append(r.Totals.Moved, Move{s, s, s, s})
		r.Totals.Ending = append(r.Totals.Ending, Ending{s, then})
		r.Totals.Unsigned = append(r.Totals.Unsigned, s)
	}
	r.Totals.Revoked = revocations(r.Rows)
	counted := Totals{}
	counted.count(r.Rows)
	r.Totals.Repositories, r.Totals.Predicates, r.Totals.Signers, r.Totals.Stale = counted.Repositories, counted.Predicates, counted.Signers, counted.Stale
	return r
}

func TestHTMLShowsTextAsText(t *testing.T) {
	var plain, out bytes.Buffer
	if err := (&Report{At: then, Horizon: then, Judge: "j"}).WriteHTML(&plain); err != nil {
		t.Fatal(err)
	}
	if err := hostileReport().WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, never := range []string{"<script", "<img", "onerror=alert(1)>", "<h1>yes", "<a ", "<link", "url(", "@import", "\x1b", "\u202e", "\u200b", "\x00"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
	for _, shown := range []string{"&lt;script&gt;alert(1)", `\u{202e}`, `\u{1b}[31m`, "{{.Judge}}"} {
		if !strings.Contains(page, shown) {
			t.Errorf("the page does not show %q", shown)
		}
	}
	if !utf8.ValidString(page) {
		t.Error("the page is no UTF-8")
	}
	if n, want := strings.Count(page, "<style>"), strings.Count(plain.String(), "<style>"); n != want || n != 1 {
		t.Errorf("%d styles", n)
	}
	for _, tag := range []string{"table", "ul", "dl", "div", "td", "code", "bdi"} {
		if open, closed := strings.Count(page, "<"+tag+">")+strings.Count(page, "<"+tag+" "), strings.Count(page, "</"+tag+">"); open != closed {
			t.Errorf("%d of %s begin and %d end", open, tag, closed)
		}
	}
}

func TestCSVHasNoFormulas(t *testing.T) {
	var out bytes.Buffer
	if err := hostileReport().WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(records) != len(hostile)+1 {
		t.Fatalf("%d records: %v", len(records), err)
	}
	for i, record := range records {
		if len(record) != len(columns) {
			t.Errorf("record %d has %d cells", i, len(record))
		}
		for k, cell := range record {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("cell %s of record %d is %q", columns[k], i, cell)
			}
		}
	}
	if got := records[6][2]; got != "'"+hostile[5] {
		t.Errorf("a formula reads %q", got)
	}
	if got := records[1][2]; got != hostile[0] {
		t.Errorf("a text without a formula reads %q", got)
	}
}

func TestSARIFIsReadByOthers(t *testing.T) {
	var out bytes.Buffer
	r := hostileReport()
	if err := r.WriteSARIF(&out, "1"); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Version string
		Runs    []struct {
			Results []struct {
				RuleID    string
				Level     string
				Locations []struct {
					PhysicalLocation struct{ ArtifactLocation struct{ URI string } }
				}
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || len(log.Runs[0].Results) != len(hostile) {
		t.Fatalf("%+v", log)
	}
	for _, result := range log.Runs[0].Results {
		at := result.Locations[0].PhysicalLocation.ArtifactLocation.URI
		if result.RuleID != "no-evidence" || result.Level != "error" || strings.ContainsFunc(at, func(r rune) bool { return r > '~' || unicode.IsSpace(r) || strings.ContainsRune(`<>"`, r) }) {
			t.Errorf("result %+v", result)
		}
	}
	if _, err := importer.Read(out.Bytes()); err != nil {
		t.Errorf("our own reader: %v", err)
	}
}

func TestSARIFLevelsFollowVerdicts(t *testing.T) {
	r := &Report{At: then, Rows: []Row{
		{Class: ClassArtifact, Repository: "registry.example/a", Digest: "sha256:" + strings.Repeat("0", 64), Verdict: policy.Yes},
		{Class: ClassUnread, Repository: "registry.example/b", Verdict: policy.Unknown, Reasons: []policy.Reason{policy.Unreachable}},
		{Class: ClassOther, Repository: "registry.example/c", Reasons: []policy.Reason{policy.WrongArtifact}},
	}, Totals: Totals{Unread: 1}}
	var out bytes.Buffer
	if err := r.WriteSARIF(&out, ""); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if strings.Count(text, `"ruleId"`) != 1 || !strings.Contains(text, `"level": "warning"`) || !strings.Contains(text, `"executionSuccessful": false`) || !strings.Contains(text, `"uri": "oci://registry.example/b"`) {
		t.Errorf("SARIF:\n%s", text)
	}
}

func TestURIsOfReferences(t *testing.T) {
	for pinned, want := range map[string]string{
		"registry.example:5000/a/b@sha256:00": "oci://registry.example:5000/a/b@sha256:00",
		"oci:./lay out@sha256:00":             "oci:./lay%20out@sha256:00",
		"oci-archive:a.tar@sha256:00":         "oci-archive:a.tar@sha256:00",
	} {
		if got := uri(pinned); got != want {
			t.Errorf("%s is %s, want %s", pinned, got, want)
		}
	}
}
