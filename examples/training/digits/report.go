package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// evaluate measures a model on a dataset.
func evaluate(o options) error {
	n, data, err := subject(o)
	if err != nil {
		return err
	}
	return o.writeResult("evaluation", "accuracy", n.accuracy(data), len(data))
}

// attack measures a model on the digits of a dataset after each was changed to mislead that very model.
func attack(o options) error {
	n, data, err := subject(o)
	if err != nil {
		return err
	}
	for i, d := range data {
		data[i] = n.against(d, float32(o.strength))
	}
	return o.writeResult("attack", "robust_accuracy", n.accuracy(data), len(data))
}

func subject(o options) (*network, []digit, error) {
	n, err := loadModel(o.model, o.adapter)
	if err != nil {
		return nil, nil, err
	}
	data, err := readDigits(o.data)
	return n, data, err
}

// metric and result are an in-toto test-result with Hallmark's extension for what was measured.
type metric struct {
	Name    string            `json:"name"`
	Value   string            `json:"value"`
	Dataset map[string]string `json:"dataset"`
	Samples int               `json:"samples"`
}

type result struct {
	Result        string     `json:"result"`
	Configuration []struct{} `json:"configuration"`
	Passed        []string   `json:"passedTests,omitempty"`
	Failed        []string   `json:"failedTests,omitempty"`
	Evaluation    struct {
		Activity   string   `json:"activity"`
		FinishedOn string   `json:"finishedOn"`
		Metrics    []metric `json:"metrics"`
	} `json:"https://github.com/hallmark-project/hallmark/attestations/evaluation/v1"`
}

// writeResult reports one number and whether it is enough. Too small a number is a finding, not an error.
func (o options) writeResult(activity, name string, value float64, samples int) error {
	r := result{Result: "PASSED", Configuration: []struct{}{}}
	test := fmt.Sprintf("%s >= %g", name, o.least)
	if value >= o.least {
		r.Passed = []string{test}
	} else {
		r.Result, r.Failed = "FAILED", []string{test}
	}
	id, ok := strings.CutPrefix(o.dataset, "sha256:")
	if !ok {
		return fmt.Errorf("-dataset %q: it is sha256:…", o.dataset)
	}
	r.Evaluation.Activity, r.Evaluation.FinishedOn = activity, time.Now().UTC().Format(time.RFC3339)
	r.Evaluation.Metrics = []metric{{name, strconv.FormatFloat(value, 'f', 4, 64), map[string]string{"class": "artifact", "hex": id}, samples}}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	fmt.Printf("%s %s: %s of %d digits, at least %g wanted\n", r.Result, name, r.Evaluation.Metrics[0].Value, samples, o.least)
	return os.WriteFile(o.report, append(raw, '\n'), 0o644)
}

// personal is what must not be in a dataset of digits, by name.
var personal = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"e-mail address", regexp.MustCompile(`[\w.+-]+@[\w-]+\.\w`)},
	{"telephone number", regexp.MustCompile(`\+[0-9][0-9 ()-]{7,}[0-9]`)},
	{"payment card or account number", regexp.MustCompile(`\b[0-9]{13,19}\b|\b[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\b`)},
}

// testCase and testSuite are JUnit XML.
type testCase struct {
	Class   string  `xml:"classname,attr"`
	Name    string  `xml:"name,attr"`
	Failure *string `xml:"failure"`
}

type testSuite struct {
	XMLName  xml.Name   `xml:"testsuite"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Time     string     `xml:"timestamp,attr"`
	Cases    []testCase `xml:"testcase"`
}

// scan looks for personal data in the files of a prepared dataset, and whether its images are nothing but images.
func scan(o options) error {
	suite := testSuite{Name: "pii", Time: time.Now().UTC().Format("2006-01-02T15:04:05Z")}
	add := func(class, name, failure string) {
		c := testCase{Class: class, Name: name}
		if failure != "" {
			c.Failure = &failure
			suite.Failures++
		}
		suite.Tests++
		suite.Cases = append(suite.Cases, c)
		fmt.Printf("%s: %s%s\n", class, name, strings.TrimSuffix(": "+failure, ": "))
	}
	_, err := readDigits(o.data)
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	add(digitsFile, "nothing but labels and pixels", failure)
	for _, file := range []string{readmeFile, digitsFile} {
		text, err := os.ReadFile(filepath.Join(o.data, file))
		if err != nil {
			return err
		}
		for _, p := range personal {
			failure := ""
			if found := p.pattern.FindIndex(text); found != nil {
				failure = fmt.Sprintf("at byte %d", found[0]) // the report must not carry it on
			}
			add(file, "no "+p.what, failure)
		}
	}
	raw, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.report, append(raw, '\n'), 0o644)
}
