package process

import (
	"regexp"
	"strings"
)

// Redacted stands where a secret was.
const Redacted = "[redacted]"

// shortest is how long a secret variable's value must be to be looked for: shorter ones are words of any text.
const shortest = 8

// secretName is how things are called whose values are secret: as "--api-key", "HF_TOKEN", "wandb.api_key". The word stands
// at the end of the name, so "--tokenizer" and "--max-tokens" are none.
const secretName = `(?:[A-Za-z0-9]+[-_.])*(?i:password|passwd|passphrase|pwd|token|secret|credentials?|authorization|api[-_]?key|apikey|access[-_]?key(?:[-_]?id)?|secret[-_]?key|auth[-_]?key)`

// A rule finds a secret. Where it has groups, the last one is what is hidden; else all of it.
var builtIn = []*regexp.Regexp{
	regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*`),
	regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#@]+)@`),                                                              // a URL's user and password
	regexp.MustCompile(`[?&](?i:sig|signature|key|x-amz-[a-z-]+|x-goog-[a-z-]+|code|[a-z_-]*(?:token|secret|key))=([^\s&#]+)`), // a signed URL's query
	regexp.MustCompile(`(?i:bearer|basic)[ =:]+([A-Za-z0-9._~+/=-]{8,})`),
	regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`),
	regexp.MustCompile(`\b(?:hf_|gh[opsur]_|github_pat_|glpat-|npm_|xox[abprs]-|sk-|pypi-)[A-Za-z0-9_-]{16,}`),
	regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`),
	regexp.MustCompile(`(?:^|[\s'";,{(:/&?-])` + secretName + `["']?(?:=|:\s*)("[^"]*"|'[^']*'|[^\s'";&|]+)`),
	regexp.MustCompile(`(?:^|\s)--?` + secretName + `\s+("[^"]*"|'[^']*'|[^\s'"-][^\s'"]*)`),
}

var (
	secretFlag     = regexp.MustCompile(`^--?` + secretName + `$`)
	secretVariable = regexp.MustCompile(`^` + secretName + `$`)
)

// Redactor hides secrets in command lines: those that its rules find, and the values of variables whose names say that they
// are secret. What no rule knows it cannot hide. A Redactor may be used by several goroutines.
type Redactor struct {
	rules   []*regexp.Regexp
	secrets *strings.Replacer
}

// NewRedactor returns a Redactor by the built-in rules and more. Of environ, NAME=VALUE each, the values of secret variables
// are hidden wherever they stand.
func NewRedactor(environ []string, more []*regexp.Regexp) *Redactor {
	var pairs []string
	for _, v := range environ {
		if name, value, _ := strings.Cut(v, "="); len(value) >= shortest && secretVariable.MatchString(name) {
			pairs = append(pairs, value, Redacted)
		}
	}
	return &Redactor{rules: append(more[:len(more):len(more)], builtIn...), secrets: strings.NewReplacer(pairs...)}
}

// Text returns s without its secrets, in valid UTF-8.
func (r *Redactor) Text(s string) string {
	s = r.secrets.Replace(strings.ToValidUTF8(s, "\uFFFD"))
	for _, rule := range r.rules {
		s = hide(s, rule)
	}
	return s
}

// Command returns args without their secrets; the word after a flag that takes one is hidden whole.
func (r *Redactor) Command(args []string) []string {
	out := make([]string, len(args))
	for i, word := range args {
		if i > 0 && secretFlag.MatchString(args[i-1]) && !strings.HasPrefix(word, "--") {
			out[i] = Redacted
			continue
		}
		out[i] = r.Text(word)
	}
	return out
}

// hide replaces what rule finds in s: its last group, where it has one that took part.
func hide(s string, rule *regexp.Regexp) string {
	var b strings.Builder
	from := 0
	for _, m := range rule.FindAllStringSubmatchIndex(s, -1) {
		start, end := m[0], m[1]
		if n := len(m); n > 2 && m[n-2] >= 0 {
			start, end = m[n-2], m[n-1]
		}
		if start < from || start == end {
			continue
		}
		b.WriteString(s[from:start])
		b.WriteString(Redacted)
		from = end
	}
	return b.String() + s[from:]
}

// Variable returns the value of an environment variable without its secrets; all of it, where the name says that it is one.
func (r *Redactor) Variable(name, value string) string {
	if secretVariable.MatchString(name) {
		return Redacted
	}
	return r.Text(value)
}
