package attestations

import (
	"embed"
	"fmt"
)

//go:embed *.schema.json
var schemas embed.FS

// schemaFiles are the schemas' names, each beside the type that it describes.
var schemaFiles = map[string]string{
	PredicateProvenance: "provenance", PredicateIngestion: "ingestion", PredicateTestResult: "testresult",
	PredicateVulnerabilities: "vulns", PredicateBOM: "mlbom", PredicateRelease: "release", PredicateVSA: "vsa",
	PredicateSVR: "svr", PredicateApproval: "approval", PredicateRevocations: "revocation", PredicateDeployment: "deployment",
}

// Schema returns the published JSON Schema of a predicate type of PredicateTypes; another is an error. What a schema
// cannot say, its description lists: DecodePredicate holds to that too.
func Schema(predicateType string) ([]byte, error) {
	name, known := schemaFiles[predicateType]
	if !known {
		return nil, fmt.Errorf("predicate type %q is not known here", clip(predicateType))
	}
	return schemas.ReadFile(name + ".schema.json")
}
