package audit

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// columns are those of WriteCSV.
var columns = []string{"class", "verdict", "repository", "tags", "digest", "id", "kind", "reasons", "detail", "signers", "strangers", "predicates",
	"evidence", "opened", "signatures", "signed", "links", "decided", "reused", "soon", "simulated"}

// WriteCSV writes the report's rows (RFC 4180), under a line of names. Lists are separated by spaces, signers by semicolons.
// Spreadsheets take some cells for formulas: one that begins with = + - @, a tab or a carriage return is written with an
// apostrophe before it.
func (r *Report) WriteCSV(to io.Writer) error {
	w := csv.NewWriter(to)
	if err := w.Write(columns); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		var links []string
		for _, l := range row.Links {
			links = append(links, l.Role+"="+l.Digest)
		}
		record := []string{string(row.Class), row.Verdict.String(), row.Repository, strings.Join(row.Tags, " "), row.Digest, row.ID, row.Kind,
			codes(row.Reasons), row.Detail, strings.Join(row.Signers, "; "), strings.Join(row.Strangers, "; "), strings.Join(row.Predicates, " "),
			strconv.Itoa(row.Evidence), strconv.Itoa(row.Opened), strconv.Itoa(row.Signatures), stamp(row.Signed), strings.Join(links, " "), stamp(row.Decided), strconv.FormatBool(row.Reused),
			row.Soon.text(), row.Simulated.text()}
		for k := range record {
			record[k] = defused(record[k])
		}
		if err := w.Write(record); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// defused is a cell that no spreadsheet calculates.
func defused(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func codes(reasons []policy.Reason) string {
	out := make([]string, len(reasons))
	for i, r := range reasons {
		out[i] = string(r)
	}
	return strings.Join(out, " ")
}

// stamp is a time as RFC 3339 has it; empty for none.
func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// text is the outcome and from when on; empty for none.
func (c *Coming) text() string {
	if c == nil {
		return ""
	}
	return c.Outcome.text() + " " + stamp(&c.At)
}

// text is the verdict and its reasons; empty for none.
func (o *Outcome) text() string {
	if o == nil {
		return ""
	}
	return strings.TrimSpace(o.Verdict.String() + " " + codes(o.Reasons))
}
