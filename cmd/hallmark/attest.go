package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/importer"
)

// statementTypes are the words for the predicate types that can be stated about an artifact.
var statementTypes = []struct{ word, uri string }{
	{"test-result", attestations.PredicateTestResult},
	{"vulns", attestations.PredicateVulnerabilities},
	{"bom", attestations.PredicateBOM},
	{"provenance", attestations.PredicateProvenance},
	{"ingestion", attestations.PredicateIngestion},
	{"release", attestations.PredicateRelease},
	{"vsa", attestations.PredicateVSA},
	{"svr", attestations.PredicateSVR},
	{"approval", attestations.PredicateApproval},
	{"deployment", attestations.PredicateDeployment},
}

// parseStatementType reads a word or a whole URI.
func parseStatementType(s string) (string, error) {
	var words []string
	for _, t := range statementTypes {
		if s == t.word || s == t.uri {
			return t.uri, nil
		}
		words = append(words, t.word)
	}
	return "", usagef("--type %q: it is one of %s, or such a type's URI", s, strings.Join(words, ", "))
}

func newAttest(s streams) *cobra.Command {
	var f claimFlags
	var kind, from string
	var in importFlags
	c := &cobra.Command{
		Use:   "attest ARTIFACT|REF --type TYPE --from FILE",
		Short: "State what was found about an artifact: tests, attacks, scans, descriptions",
		Long: `Sign a statement about an artifact on disk or in a registry, from a report that another tool wrote or from a predicate
in JSON. Reports are recognised by their content: JUnit XML, SARIF, lm-evaluation-harness JSON and garak JSONL become a
test-result, OSV-scanner and Grype JSON vulns, CycloneDX a bom. Whoever signs vouches for the report.

Nothing is made better than it was: a report without tests, of a run that was cut short, or that contradicts itself is
refused; so is one that measures, until --threshold says what was to be reached. A failed test is stated too, as failed.
Times without a zone are read as UTC; where a report has no time, now stands for it.

On disk the statement becomes a line of claims.sig. In a registry it is attached to the artifact's manifest, unless it
says no: other tools take any statement by a trusted key for a yes.`,
		Example: `  hallmark attest ./chat --type test-result --from junit.xml --private-key tester.key
  hallmark attest ./chat --type test-result --from results.json --threshold 'arc_easy/acc,none>=0.7' --private-key tester.key
  hallmark attest registry.example/llm/chat:v1 --type vulns --from grype.json --private-key scanner.key`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if kind == "" || from == "" {
				return withUsage(c, errors.New("--type and --from are needed: what is stated, and the file that says it"))
			}
			uri, err := parseStatementType(kind)
			if err != nil {
				return err
			}
			p, err := in.read(uri, from)
			if err != nil {
				return err
			}
			found, err := f.find(c.Context(), s, args[0])
			if err != nil {
				return err
			}
			return errors.Join(f.state(c.Context(), s, found, p), found.close())
		},
	}
	f.bind(c)
	c.Flags().StringVar(&kind, "type", "", "`TYPE` of the statement: test-result, vulns, bom, provenance, ingestion, release, vsa, svr, approval or deployment")
	c.Flags().StringVar(&from, "from", "", "report or predicate `FILE`")
	in.bind(c)
	return c
}

// importFlags is what a report does not say.
type importFlags struct {
	Activity   string
	Thresholds []string
	Dataset    string
}

func (i *importFlags) bind(c *cobra.Command) {
	c.Flags().StringVar(&i.Activity, "activity", "", "`WORD` for what was done: evaluation, attack, pii-scan, bias-scan, poisoning-scan, unsafe-code-scan or test; default: by the report's format")
	c.Flags().StringArrayVar(&i.Thresholds, "threshold", nil, "`NAME>=VALUE` that a metric of the report had to reach, or with <=, > or < (repeats)")
	c.Flags().StringVar(&i.Dataset, "dataset", "", "artifact `ID` of what the report's metrics were measured on")
}

// read returns what the file states: a report's content, or a predicate of the type uri.
func (i *importFlags) read(uri, from string) (attestations.Predicate, error) {
	raw, err := readAtMost(from, importer.MaxReport)
	if err != nil {
		return nil, err
	}
	report, err := importer.Read(raw)
	switch {
	case errors.Is(err, importer.ErrUnknownFormat):
		return i.readPredicate(uri, from, raw)
	case err != nil:
		return nil, refusal{fmt.Errorf("%s: %w", from, err)}
	}
	context := importer.Context{Activity: attestations.Activity(i.Activity), Now: now()}
	if i.Activity != "" && !slices.Contains(attestations.Activities(), context.Activity) {
		return nil, usagef("--activity %q: it is one of %v", i.Activity, attestations.Activities())
	}
	for _, text := range i.Thresholds {
		t, err := importer.ParseThreshold(text)
		if err != nil {
			return nil, usagef("--threshold: %w", err)
		}
		context.Thresholds = append(context.Thresholds, t)
	}
	if i.Dataset != "" {
		if context.Dataset, err = attestations.ParseArtifactID(i.Dataset); err != nil {
			return nil, usagef("--dataset: %w", err)
		}
	}
	p, err := report.Predicate(context)
	if err != nil {
		return nil, refusal{fmt.Errorf("%s: %w", from, err)}
	}
	if p.PredicateType() != uri {
		return nil, usagef("%s is %s, which is no %s", from, report.Format, uri)
	}
	return p, nil
}

func (i *importFlags) readPredicate(uri, from string, raw []byte) (attestations.Predicate, error) {
	if i.Activity != "" || i.Dataset != "" || len(i.Thresholds) > 0 {
		return nil, usagef("--activity, --dataset and --threshold are for reports, and %s is none of a known format", from)
	}
	p, err := attestations.DecodePredicate(uri, raw)
	if err != nil {
		return nil, refusal{fmt.Errorf("%s: no report of a known format, and as a predicate: %w", from, err)}
	}
	return p, nil
}
