// Package layers holds the tree to its strata: cmd → registry → attestations → pkg, imports only go down.
package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hallmark-project/hallmark"

// strata from the ground up. A package may import its own stratum and those below.
var strata = []string{"pkg", "attestations", "registry", "cmd"}

// Formats and cryptography belong to the rooms below: what a person types knows neither.
var notInCmd = []string{
	"crypto", "github.com/sigstore/", "github.com/google/go-containerregistry", "github.com/in-toto/",
}

var namesThatSayNothing = []string{"util", "utils", "common", "helpers", "types", "base", "misc"}

type listed struct {
	ImportPath   string
	Name         string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestImportsOnlyGoDown(t *testing.T) {
	packages := list(t)
	for _, problem := range violations(packages) {
		t.Error(problem)
	}
	for _, s := range strata {
		if !slices.ContainsFunc(packages, func(p listed) bool { return stratum(p.ImportPath) == slices.Index(strata, s) }) {
			t.Errorf("no package in %s: the test does not see the tree", s)
		}
	}
}

// TestViolationsAreFound breaks each rule once.
func TestViolationsAreFound(t *testing.T) {
	for name, p := range map[string]listed{
		"arrow upwards":         {ImportPath: module + "/pkg/a", Imports: []string{module + "/registry"}},
		"upwards from claims":   {ImportPath: module + "/attestations/a", Imports: []string{module + "/registry/b"}},
		"upwards in a test":     {ImportPath: module + "/pkg/a", XTestImports: []string{module + "/attestations"}},
		"crypto in cmd":         {ImportPath: module + "/cmd/hallmark", Imports: []string{"crypto/sha256"}},
		"oci in cmd":            {ImportPath: module + "/cmd/hallmark", Imports: []string{"github.com/google/go-containerregistry/pkg/name"}},
		"name that says little": {ImportPath: module + "/pkg/utils", Name: "utils"},
		"production on test":    {ImportPath: module + "/registry", Imports: []string{module + "/test/lab"}},
	} {
		if len(violations([]listed{p})) != 1 {
			t.Errorf("%s: found %q, want one violation", name, violations([]listed{p}))
		}
	}
	fine := listed{ImportPath: module + "/cmd/hallmark", Name: "main", Imports: []string{module + "/registry", module + "/pkg/policy", "context"}}
	if found := violations([]listed{fine}); len(found) != 0 {
		t.Errorf("found %q in a package that breaks nothing", found)
	}
}

func violations(packages []listed) []string {
	var found []string
	for _, p := range packages {
		own := stratum(p.ImportPath)
		if own < 0 {
			continue
		}
		last := p.ImportPath[strings.LastIndexByte(p.ImportPath, '/')+1:]
		if slices.Contains(namesThatSayNothing, last) || slices.Contains(namesThatSayNothing, p.Name) {
			found = append(found, p.ImportPath+": a name that says nothing")
		}
		for _, i := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			switch {
			case stratum(i) > own:
				found = append(found, p.ImportPath+" imports "+i+": an arrow upwards")
			case strings.HasPrefix(i, module+"/test/") && slices.Contains(p.Imports, i):
				found = append(found, p.ImportPath+" imports "+i+": test code")
			}
		}
		if strata[own] == "cmd" {
			for _, i := range p.Imports {
				if slices.ContainsFunc(notInCmd, func(n string) bool { return i == n || strings.HasPrefix(i, strings.TrimSuffix(n, "/")+"/") }) {
					found = append(found, p.ImportPath+" imports "+i+": it belongs to a room below")
				}
			}
		}
	}
	return found
}

func stratum(path string) int {
	rest, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return -1
	}
	room, _, _ := strings.Cut(rest, "/")
	return slices.Index(strata, room)
}

func list(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Name,Imports,TestImports,XTestImports", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
