package importer

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// readCycloneDX takes a bill of materials as it is. One that lists nothing describes nothing, and is refused.
func readCycloneDX(raw []byte) (*Report, error) {
	var in struct {
		Format   string `json:"bomFormat"`
		Version  string `json:"specVersion"`
		Metadata struct {
			Timestamp string         `json:"timestamp"`
			Component jsontext.Value `json:"component"`
		} `json:"metadata"`
		Components []jsontext.Value `json:"components"`
	}
	if err := decode(raw, &in); err != nil {
		return nil, err
	}
	switch {
	case in.Format != "CycloneDX":
		return nil, fmt.Errorf("bomFormat %q", clip(in.Format))
	case in.Version == "":
		return nil, errors.New("no specVersion")
	case len(in.Components) == 0 && in.Metadata.Component.Kind() != '{':
		return nil, errors.New("it lists no component, so it describes nothing")
	case len(in.Components) > maxTests:
		return nil, fmt.Errorf("%d components, at most %d are read", len(in.Components), maxTests)
	}
	r := &Report{Tool: "CycloneDX", Version: in.Version, Document: jsontext.Value(raw)}
	return r, r.span("", in.Metadata.Timestamp)
}
