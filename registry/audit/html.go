package audit

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// What the pages are made of.
var (
	//go:embed style.html
	styleText string
	//go:embed page.html
	pageText string
)

// page is parsed when it is wanted: few who start the program write one.
var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"when": moment,
		"class": func(r Row) string {
			if r.Class == ClassOther {
				return "soft"
			}
			return r.Verdict.String()
		},
		"word": word,
		"outcome": func(o any) string {
			switch o := o.(type) {
			case Outcome:
				return o.text()
			case *Coming:
				return o.Outcome.text() + ", from " + moment(o.At)
			case *Outcome:
				return o.text()
			}
			return ""
		},
	}).Parse(styleText + pageText))
})

// moment is a time for people; empty for none.
func moment(t any) string {
	const form = "2006-01-02 15:04 UTC"
	switch t := t.(type) {
	case time.Time:
		return t.UTC().Format(form)
	case *time.Time:
		if t != nil {
			return t.UTC().Format(form)
		}
	}
	return ""
}

// word is a row's verdict for people.
func word(r Row) string {
	switch {
	case r.Class == ClassOther:
		return "other"
	case r.Class == ClassUnread:
		return "not read"
	case r.Verdict == policy.Unknown:
		return "don’t know"
	}
	return r.Verdict.String()
}

// WriteHTML writes the report as one page that needs nothing from elsewhere, and lets nothing in: no script runs in it. Text
// from outside is escaped, and what would not show or change the order of letters is spelled out.
func (r *Report) WriteHTML(to io.Writer) error {
	return writePage(to, page(), r)
}

func writePage(to io.Writer, t *template.Template, data any) error {
	visible := &visibleWriter{to: to}
	if err := t.Execute(visible, data); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	if err := visible.flush(); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	return nil
}

// visibleWriter spells out characters that would not show. The page's own text has none.
type visibleWriter struct {
	to   io.Writer
	rest strings.Builder
}

// Write keeps p until there is enough of it.
func (v *visibleWriter) Write(p []byte) (int, error) {
	v.rest.Write(p)
	if v.rest.Len() < 1<<16 || len(p) == 0 || p[len(p)-1] >= 0x80 { // no character is cut in two
		return len(p), nil
	}
	return len(p), v.flush()
}

func (v *visibleWriter) flush() error {
	text := v.rest.String()
	v.rest.Reset()
	_, err := io.WriteString(v.to, visible(text))
	return err
}

// visible is s with control characters, and those that change the order of others, as \u{…}.
func visible(s string) string {
	hidden := func(r rune) bool {
		return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Cf, r))
	}
	if !strings.ContainsFunc(s, hidden) {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			fmt.Fprintf(&b, `\u{%x}`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
