package layout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/in-toto/in-toto-golang/in_toto"
)

// checkRules refuses rules that cannot be read, and patterns that do not mean one thing. in-toto-golang takes a pattern that
// it cannot read for one that matches nothing, so that a DISALLOW of it would let everything in.
func checkRules(item string, lists ...[][]string) error {
	for _, rules := range lists {
		for _, rule := range rules {
			if len(rule) < 2 {
				return refuse("%q: rule %q is too short", item, rule)
			}
			read, err := in_toto.UnpackRule(rule)
			if err != nil {
				return refuse("%q: rule %q: %w", item, rule, err)
			}
			if err := checkPattern(read["pattern"]); err != nil {
				return fmt.Errorf("%q: pattern %q of rule %s: %w", item, read["pattern"], strings.ToUpper(rule[0]), err)
			}
		}
	}
	return nil
}

// checkPattern takes what Python's fnmatch, by which in-toto's first implementation reads patterns, and Go's path.Match,
// from which in-toto-golang's derive, read alike: *, which goes beyond a slash as it does in in-toto, ?, and a class such as
// [a-c] or [!a-c]. A backslash escapes in one and is itself in the other, ^ negates a class in one and is itself in the other,
// and a bracket that nobody closes is an error in one and itself in the other.
func checkPattern(p string) error {
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			return fmt.Errorf("a backslash means two things: %w", ErrUnsupported)
		case ']':
			return fmt.Errorf("a bracket that is not open: %w", ErrUnsupported)
		case '[':
			end := strings.IndexByte(p[i+1:], ']')
			if end < 0 {
				return fmt.Errorf("a bracket that nobody closes: %w", ErrUnsupported)
			}
			if err := checkClass(strings.TrimPrefix(p[i+1:i+1+end], "!")); err != nil {
				return err
			}
			i += 1 + end
		}
	}
	return nil
}

// checkClass takes what stands in brackets: characters, and ranges of them.
func checkClass(c string) error {
	switch {
	case c == "":
		return fmt.Errorf("an empty class: %w", ErrUnsupported)
	case c[0] == '^':
		return fmt.Errorf("[^ means two things; [! is any but: %w", ErrUnsupported)
	case strings.ContainsAny(c, `\[`):
		return fmt.Errorf("a bracket or backslash in a class means two things: %w", ErrUnsupported)
	}
	runes := []rune(c)
	for i, r := range runes {
		if r != '-' {
			continue
		}
		if i == 0 || i == len(runes)-1 || runes[i-1] > runes[i+1] || i > 1 && runes[i-2] == '-' || runes[i+1] == '-' {
			return fmt.Errorf("a range that is none: %w", ErrUnsupported)
		}
	}
	return nil
}

// endsClosed reports whether nothing gets past a list of rules that no rule before the last has consumed.
func endsClosed(rules [][]string) bool {
	return slices.ContainsFunc(rules, func(r []string) bool { return len(r) == 2 && strings.EqualFold(r[0], "DISALLOW") && r[1] == "*" })
}
