package importer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// osvReport is OSV-scanner's JSON, as far as it is read.
type osvReport struct {
	Results []struct {
		Packages []struct {
			Package struct {
				Name    string `json:"name"`
				Version string `json:"version"`
				Commit  string `json:"commit"`
			} `json:"package"`
			Vulnerabilities []struct {
				ID       string `json:"id"`
				Database struct {
					Severity jsontext.Value `json:"severity"` // in words, where it is a text
				} `json:"database_specific"`
			} `json:"vulnerabilities"`
			Groups []struct {
				IDs         []string `json:"ids"`
				MaxSeverity string   `json:"max_severity"` // CVSS base score
			} `json:"groups"`
		} `json:"packages"`
	} `json:"results"`
}

// readOSV reads what OSV-scanner found. It lists the packages without vulnerabilities only with --all-packages: a report
// without any package is refused, for then nobody can tell a clean scan from one that found nothing to look at.
func readOSV(raw []byte) (*Report, error) {
	var in osvReport
	if err := decode(raw, &in); err != nil {
		return nil, err
	}
	r := &Report{Tool: "osv-scanner"}
	for _, result := range in.Results {
		for _, p := range result.Packages {
			r.Packages++
			if p.Package.Name == "" && p.Package.Commit == "" {
				return nil, fmt.Errorf("package %d has no name", r.Packages)
			}
			version := p.Package.Version
			if version == "" {
				version = p.Package.Commit
			}
			scores := map[string]string{}
			for _, g := range p.Groups {
				for _, id := range g.IDs {
					scores[id] = g.MaxSeverity
				}
			}
			for _, v := range p.Vulnerabilities {
				err := r.vulnerable(Vulnerability{ID: v.ID, Package: p.Package.Name, Version: version, Severity: word(v.Database.Severity), Score: scores[v.ID]})
				if err != nil {
					return nil, err
				}
			}
		}
	}
	if r.Packages == 0 {
		return nil, errors.New("no package was looked at; osv-scanner --all-packages lists those without vulnerabilities too")
	}
	return r, nil
}

// word is a JSON string's text, and nothing of any other value.
func word(v jsontext.Value) string {
	var s string
	if v.Kind() != '"' || decode(v, &s) != nil {
		return ""
	}
	return s
}

// vulnerable adds one vulnerability.
func (r *Report) vulnerable(v Vulnerability) error {
	if len(r.Vulnerabilities) == maxTests {
		return fmt.Errorf("more than %d vulnerabilities", maxTests)
	}
	if err := checkNames("vulnerability", []string{v.ID}, map[string]bool{}); err != nil {
		return err
	}
	for _, text := range []string{v.Package, v.Version, v.Severity, v.Score} {
		if text == "" {
			continue
		}
		if err := checkNames("part of "+v.ID, []string{text}, map[string]bool{}); err != nil {
			return err
		}
	}
	r.Vulnerabilities = append(r.Vulnerabilities, v)
	return nil
}

// grypeReport is Grype's JSON, as far as it is read.
type grypeReport struct {
	Matches []struct {
		Vulnerability struct {
			ID       string `json:"id"`
			Severity string `json:"severity"`
			CVSS     []struct {
				Metrics struct {
					Base jsontext.Value `json:"baseScore"`
				} `json:"metrics"`
			} `json:"cvss"`
		} `json:"vulnerability"`
		Artifact struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"artifact"`
	} `json:"matches"`
	Source *struct {
		Type string `json:"type"`
	} `json:"source"`
	Descriptor struct {
		Name      string `json:"name"`
		Version   string `json:"version"`
		Timestamp string `json:"timestamp"`
		DB        struct {
			Built  string `json:"built"`
			Status struct {
				Built string `json:"built"`
				Error string `json:"error"`
			} `json:"status"`
		} `json:"db"`
	} `json:"descriptor"`
}

// readGrype reads what Grype found. It lists no packages, so that a report without matches is taken for a clean one only
// if it says what was looked at, and by which state of the database.
func readGrype(raw []byte) (*Report, error) {
	var in grypeReport
	if err := decode(raw, &in); err != nil {
		return nil, err
	}
	d := in.Descriptor
	if d.DB.Built == "" {
		d.DB.Built = d.DB.Status.Built
	}
	switch {
	case !strings.EqualFold(d.Name, "grype"):
		return nil, fmt.Errorf("descriptor names %q", clip(d.Name))
	case in.Source == nil || in.Source.Type == "":
		return nil, errors.New("no source: nothing was looked at")
	case d.DB.Status.Error != "":
		return nil, fmt.Errorf("its database was unusable: %q", clip(d.DB.Status.Error))
	case d.DB.Built == "":
		return nil, errors.New("no database: nothing could be found")
	}
	r := &Report{Tool: "grype", Version: d.Version, Database: d.DB.Built, Packages: 1}
	for _, m := range in.Matches {
		v := Vulnerability{ID: m.Vulnerability.ID, Severity: m.Vulnerability.Severity, Package: m.Artifact.Name, Version: m.Artifact.Version}
		for _, c := range m.Vulnerability.CVSS {
			if c.Metrics.Base.Kind() == '0' {
				v.Score = string(c.Metrics.Base)
			}
		}
		if err := r.vulnerable(v); err != nil {
			return nil, err
		}
	}
	return r, r.span("", d.Timestamp)
}
