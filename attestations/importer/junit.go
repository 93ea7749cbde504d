package importer

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxDepth is how deep suites of a JUnit report may lie in each other.
const maxDepth = 32

// junitSuite is a testsuite, or the testsuites around them.
type junitSuite struct {
	name      string
	timestamp string
	seconds   string
	failed    int // failures and errors, as the attributes say
	tests     int // as the attribute says
	found     int // of both, as the cases say
	foundBad  int
}

// junitCase is one testcase.
type junitCase struct {
	name    string
	bad     bool // failure or error
	skipped bool
}

// readJUnit reads JUnit XML as its many writers write it: testsuites around testsuite around testcase, or less of that.
// A testcase with a failure or an error failed; one that was skipped says nothing. Suites whose counts say that more
// failed, or ran, than is listed are refused: the report lost some.
func readJUnit(raw []byte) (*Report, error) {
	r := &Report{Tool: "junit"}
	p := junitParser{decoder: xml.NewDecoder(bytes.NewReader(raw)), report: r, seen: map[string]int{}}
	p.decoder.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("encoding %q: only UTF-8 is read", clip(charset))
	}
	if err := p.run(); err != nil {
		return nil, err
	}
	return r, nil
}

type junitParser struct {
	decoder *xml.Decoder
	report  *Report
	suites  []*junitSuite
	one     *junitCase
	inside  int // elements open inside the testcase
	seen    map[string]int
	rooted  bool
}

func (p *junitParser) run() error {
	for {
		token, err := p.decoder.Token()
		switch {
		case errors.Is(err, io.EOF) && p.rooted:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("no testsuite")
		case err != nil:
			return err
		}
		switch t := token.(type) {
		case xml.Directive: // a document type declares entities, and no report needs any
			return errors.New("a document type declaration")
		case xml.StartElement:
			err = p.start(t)
		case xml.EndElement:
			err = p.end(t)
		}
		if err != nil {
			return err
		}
	}
}

func (p *junitParser) start(t xml.StartElement) error {
	name := t.Name.Local
	switch {
	case p.one != nil:
		p.inside++
		if p.inside == 1 {
			p.one.bad = p.one.bad || name == "failure" || name == "error"
			p.one.skipped = p.one.skipped || name == "skipped"
		}
		return nil
	case name == "testsuites" || name == "testsuite":
		if p.rooted && len(p.suites) == 0 {
			return errors.New("more than one root element")
		}
		p.rooted = true
		if len(p.suites) == maxDepth {
			return fmt.Errorf("suites lie more than %d deep", maxDepth)
		}
		s, err := newSuite(t)
		p.suites = append(p.suites, s)
		return err
	case len(p.suites) == 0:
		return fmt.Errorf("root element %q: it is testsuites or testsuite", clip(name))
	case name == "testcase":
		p.one = &junitCase{name: strings.TrimPrefix(attribute(t, "classname")+"."+attribute(t, "name"), ".")}
		return nil
	}
	return p.decoder.Skip() // properties, system-out, system-err
}

func (p *junitParser) end(t xml.EndElement) error {
	switch {
	case p.one != nil && p.inside > 0:
		p.inside--
	case p.one != nil:
		p.add(*p.one)
		p.one = nil
	case len(p.suites) > 0:
		last := p.suites[len(p.suites)-1]
		p.suites = p.suites[:len(p.suites)-1]
		return p.close(last, t.Name.Local)
	}
	return nil
}

// add counts a case. The same test may be there several times, once for each of its parameters: those get numbers.
func (p *junitParser) add(c junitCase) {
	p.seen[c.name]++
	if n := p.seen[c.name]; n > 1 {
		c.name += " #" + strconv.Itoa(n)
	}
	for _, s := range p.suites {
		s.found++
		if c.bad {
			s.foundBad++
		}
	}
	switch {
	case c.bad:
		p.report.Failed = append(p.report.Failed, c.name)
	case !c.skipped: // what did not run is in no list

		p.report.Passed = append(p.report.Passed, c.name)
	}
}

// close compares a suite's counts with its cases and takes its times.
func (p *junitParser) close(s *junitSuite, element string) error {
	switch {
	case s.failed > s.foundBad:
		return fmt.Errorf("%s %q says that %d failed and lists %d", element, clip(s.name), s.failed, s.foundBad)
	case s.tests > s.found:
		return fmt.Errorf("%s %q says that there are %d tests and lists %d", element, clip(s.name), s.tests, s.found)
	case s.timestamp == "":
		return nil
	}
	from, err := parseTime(s.timestamp)
	if err != nil {
		return fmt.Errorf("%s %q: timestamp: %w", element, clip(s.name), err)
	}
	to := from
	if seconds, err := strconv.ParseFloat(s.seconds, 64); err == nil && seconds > 0 && seconds < maxSeconds {
		to = from.Add(time.Duration(seconds * float64(time.Second)))
	}
	p.report.widen(from, to)
	return nil
}

func newSuite(t xml.StartElement) (*junitSuite, error) {
	s := &junitSuite{name: attribute(t, "name"), timestamp: attribute(t, "timestamp"), seconds: attribute(t, "time")}
	for _, name := range []string{"tests", "failures", "errors"} {
		text := attribute(t, name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > MaxReport {
			return nil, fmt.Errorf("%s %q: %s=%q is no count", t.Name.Local, clip(s.name), name, clip(text))
		}
		if name == "tests" {
			s.tests = n
		} else {
			s.failed += n
		}
	}
	return s, nil
}

func attribute(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}
