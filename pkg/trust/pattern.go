package trust

import (
	"fmt"
	"regexp"
)

// maxPattern caps a pattern, in bytes.
const maxPattern = 1 << 10

// Pattern is an anchored regular expression (RE2): it matches a whole name or none of it. It is read-only and may be used
// by several goroutines. The nil Pattern matches nothing.
type Pattern struct {
	source string
	whole  *regexp.Regexp
}

// CompilePattern compiles expr as ^(?:expr)$. An empty expression, one that is too long, and one that does not compile by
// itself are errors.
func CompilePattern(expr string) (*Pattern, error) {
	if expr == "" || len(expr) > maxPattern {
		return nil, fmt.Errorf("pattern of %d bytes: it has 1 to %d", len(expr), maxPattern)
	}
	if _, err := regexp.Compile(expr); err != nil { // by itself, so that "a)|(b" does not get out of the anchors
		return nil, fmt.Errorf("pattern %s: %w", printable(expr), err)
	}
	whole, err := regexp.Compile("^(?:" + expr + ")$")
	if err != nil {
		return nil, fmt.Errorf("pattern %s: %w", printable(expr), err)
	}
	return &Pattern{expr, whole}, nil
}

// Match reports whether all of s matches.
func (p *Pattern) Match(s string) bool { return p != nil && p.whole.MatchString(s) }

// String is the expression as it was given.
func (p *Pattern) String() string { return p.source }
