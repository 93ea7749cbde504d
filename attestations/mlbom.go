package attestations

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// PredicateBOM is a CycloneDX bill of materials (in-toto, CycloneDX predicate).
const PredicateBOM = "https://cyclonedx.org/bom"

// BOMVersion is the version of CycloneDX that is written here. 1.5, the first with model cards, is read too.
const BOMVersion = "1.6"

// BOM is a CycloneDX ML-BOM: the description of a model or dataset, with its model card, datasets and ancestors. It holds
// the part of CycloneDX that Hallmark writes and reads. One that was decoded keeps its bytes: stated again, it is written
// as it was read, whatever was changed in the fields.
type BOM struct {
	Format      string      `json:"bomFormat"`   // CycloneDX
	SpecVersion string      `json:"specVersion"` // BOMVersion
	Version     int64       `json:"version"`     // of this description, from 1
	Metadata    BOMMetadata `json:"metadata"`
	Components  []Component `json:"components,omitempty"` // datasets and what else belongs to it

	raw jsontext.Value
}

// BOMMetadata is when the description was made, and of what.
type BOMMetadata struct {
	Timestamp time.Time `json:"timestamp"`
	Component Component `json:"component"`
}

// The types of component that matter here; CycloneDX has more.
const (
	ComponentModel = "machine-learning-model"
	ComponentData  = "data"
)

// Component is one thing in a BOM. A SHA-256 among the hashes of an ancestor or a dataset is its artifact ID where
// Hallmark wrote it.
type Component struct {
	Type        string          `json:"type"`
	Ref         string          `json:"bom-ref,omitempty"` // unique within the BOM
	Name        string          `json:"name"`
	Version     string          `json:"version,omitempty"`
	Description string          `json:"description,omitempty"`
	Hashes      []ComponentHash `json:"hashes,omitempty"`
	Licenses    []LicenseChoice `json:"licenses,omitempty"`
	PURL        string          `json:"purl,omitempty"`
	Pedigree    Pedigree        `json:"pedigree,omitzero"`
	ModelCard   ModelCard       `json:"modelCard,omitzero"`
}

// ComponentHash is a digest as CycloneDX writes it.
type ComponentHash struct {
	Algorithm string `json:"alg"` // SHA-256
	Content   string `json:"content"`
}

// LicenseChoice is a license, or an expression over several.
type LicenseChoice struct {
	License    License `json:"license,omitzero"`
	Expression string  `json:"expression,omitempty"` // SPDX
}

// License is one license: an SPDX ID, or a name where there is none.
type License struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// Pedigree is what a component was made from.
type Pedigree struct {
	Ancestors []Component `json:"ancestors,omitempty"`
}

// ModelCard is CycloneDX's, in part.
type ModelCard struct {
	Parameters ModelParameters `json:"modelParameters,omitzero"`
	Analysis   Analysis        `json:"quantitativeAnalysis,omitzero"`
}

// ModelParameters is what a model is for, how it is built, and what it was trained on.
type ModelParameters struct {
	Task         string       `json:"task,omitempty"`
	Family       string       `json:"architectureFamily,omitempty"`
	Architecture string       `json:"modelArchitecture,omitempty"`
	Datasets     []DatasetRef `json:"datasets,omitempty"`
}

// DatasetRef names a dataset: a component of the BOM by Ref, or another by Type and Name.
type DatasetRef struct {
	Ref  string `json:"ref,omitempty"`
	Type string `json:"type,omitempty"`
	Name string `json:"name,omitempty"`
}

// Analysis is how well a model does.
type Analysis struct {
	Metrics []PerformanceMetric `json:"performanceMetrics,omitempty"`
}

// PerformanceMetric is one number in a model card.
type PerformanceMetric struct {
	Type  string `json:"type,omitempty"`
	Value string `json:"value,omitempty"`
	Slice string `json:"slice,omitempty"`
}

// NewBOM returns a BOM of version 1 on component, with format and specification version filled in.
func NewBOM(component Component, at time.Time) BOM {
	return BOM{Format: "CycloneDX", SpecVersion: BOMVersion, Version: 1, Metadata: BOMMetadata{at, component}}
}

// MarshalJSON writes b, or the bytes that it was read from.
func (b BOM) MarshalJSON() ([]byte, error) {
	if b.raw != nil {
		return b.raw, nil
	}
	type plain BOM
	return json.Marshal(plain(b), json.Deterministic(true), utcTimes)
}

// UnmarshalJSON reads a BOM. Of CycloneDX's many members those above are read; the rest is kept as it is.
func (b *BOM) UnmarshalJSON(raw []byte) error {
	type plain BOM
	if err := decode(raw, (*plain)(b)); err != nil {
		return err
	}
	b.raw = bytes.Clone(raw)
	return b.raw.Compact()
}

// PredicateType returns PredicateBOM.
func (BOM) PredicateType() string { return PredicateBOM }

// Check returns why b cannot be stated or believed: another format, no time, a subject that is neither model nor data,
// references that collide or lead nowhere.
func (b BOM) Check() error {
	switch {
	case b.Format != "CycloneDX":
		return fmt.Errorf("bomFormat %q, not CycloneDX", clip(b.Format))
	case b.SpecVersion != BOMVersion && b.SpecVersion != "1.5":
		return fmt.Errorf("specVersion %q, not %s or 1.5", clip(b.SpecVersion), BOMVersion)
	case b.Version < 1 || b.Version > maxExact:
		return fmt.Errorf("version %d: it begins at 1", b.Version)
	}
	if err := checkTime("metadata.timestamp", b.Metadata.Timestamp); err != nil {
		return err
	}
	c := b.Metadata.Component
	if c.Type != ComponentModel && c.Type != ComponentData {
		return fmt.Errorf("metadata.component of type %q, neither %s nor %s", clip(c.Type), ComponentModel, ComponentData)
	}
	if len(b.Components) > maxItems {
		return fmt.Errorf("%d components, at most %d are read", len(b.Components), maxItems)
	}
	refs := map[string]bool{}
	all := append(slices.Clone(b.Components), c)
	all = append(all, c.Pedigree.Ancestors...)
	for _, c := range all {
		if err := c.check(); err != nil {
			return fmt.Errorf("component %q: %w", clip(c.Name), err)
		}
		if c.Ref != "" && refs[c.Ref] {
			return fmt.Errorf("two components have bom-ref %q", clip(c.Ref))
		}
		refs[c.Ref] = c.Ref != ""
	}
	for _, d := range c.ModelCard.Parameters.Datasets {
		if d.Ref != "" && !refs[d.Ref] && !strings.HasPrefix(d.Ref, "urn:cdx:") { // a BOM-Link leads elsewhere
			return fmt.Errorf("modelCard: dataset %q is no component of the BOM", clip(d.Ref))
		}
		if d.Ref == "" && d.Type == "" {
			return errors.New("modelCard: a dataset without ref and type")
		}
	}
	return nil
}

func (c Component) check() error {
	if err := checkName(c.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if c.Type == "" {
		return errors.New("no type")
	}
	for _, h := range c.Hashes {
		if h.Algorithm == "SHA-256" {
			if err := checkHex("sha256", h.Content); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkOn refuses a description of another kind of thing, and an artifact that is its own ancestor.
func (b BOM) checkOn(on Artifact) error {
	if on.Kind != "" && (on.Kind == KindDataset) != (b.Metadata.Component.Type == ComponentData) {
		return fmt.Errorf("describes a %s, and the subject is a %s", b.Metadata.Component.Type, on.Kind)
	}
	for _, a := range b.Metadata.Component.Pedigree.Ancestors {
		for _, h := range a.Hashes {
			if h.Algorithm == "SHA-256" && "sha256:"+h.Content == on.ID {
				return fmt.Errorf("ancestor %q is the artifact itself", clip(a.Name))
			}
		}
	}
	return nil
}
