package audit

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// reasonsDoc is where reason codes are explained.
const reasonsDoc = "https://github.com/hallmark-project/hallmark/blob/main/pkg/policy/README.md#reasons"

// The part of SARIF 2.1.0 that is written.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string    `json:"id"`
		Short   sarifText `json:"shortDescription"`
		HelpURI string    `json:"helpUri"`
	}
	sarifInvocation struct {
		Successful bool   `json:"executionSuccessful"` // everything could be read
		Ended      string `json:"endTimeUtc"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact sarifURI `json:"artifactLocation"`
	}
	sarifURI struct {
		URI string `json:"uri"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
)

// WriteSARIF writes a result for each reason of each row that is no yes, and none for what is no artifact: SARIF 2.1.0. A
// no is an error, a don't know a warning. program is the version of what runs.
func (r *Report) WriteSARIF(to io.Writer, program string) error {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "hallmark", Version: program, InformationURI: "https://github.com/hallmark-project/hallmark", Rules: []sarifRule{}}},
		Invocations: []sarifInvocation{{r.Totals.Unread == 0, stamp(&r.At)}}, Results: []sarifResult{}}
	rules := map[policy.Reason]int{}
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Class == ClassOther {
			continue
		}
		for _, reason := range row.Reasons {
			at, ok := rules[reason]
			if !ok {
				at = len(rules)
				rules[reason] = at
				run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{string(reason), sarifText{strings.ReplaceAll(string(reason), "-", " ")}, reasonsDoc})
			}
			run.Results = append(run.Results, row.sarif(reason, at))
		}
	}
	log := sarifLog{"https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json", "2.1.0", []sarifRun{run}}
	raw, err := json.Marshal(log, jsontext.WithIndent("  "), json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err == nil {
		_, err = to.Write(append(raw, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	return nil
}

func (r *Row) sarif(reason policy.Reason, rule int) sarifResult {
	level := "error"
	if reason.Verdict() == policy.Unknown {
		level = "warning"
	}
	text := fmt.Sprintf("%s: %s", r.Pinned(), reason)
	if r.Detail != "" && len(r.Reasons) > 0 && slices.Index(r.Reasons, reason) == 0 {
		text += ": " + r.Detail
	}
	return sarifResult{RuleID: string(reason), RuleIndex: rule, Level: level, Message: sarifText{text},
		Locations:    []sarifLocation{{sarifPhysical{sarifURI{uri(r.Pinned())}}, []sarifLogical{{r.Pinned(), "resource"}}}},
		Fingerprints: map[string]string{"hallmark/v1": r.Pinned() + " " + string(reason)}}
}

// uri is a reference as a URI (RFC 3986): oci:// before a registry's host, or oci: before a path. All but what stands for
// itself in every part of one is escaped.
func uri(pinned string) string {
	for _, scheme := range []string{"oci:", "oci-archive:"} {
		if rest, ok := strings.CutPrefix(pinned, scheme); ok {
			return scheme + escaped(rest)
		}
	}
	return "oci://" + escaped(pinned)
}

func escaped(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~/:@", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
