// Command fuzz runs every fuzz target of the tree for a while, one after another. Flag -time says how long each.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// target is one fuzz function and the package that it is in.
type target struct{ pkg, name string }

func main() {
	each := flag.String("time", "5s", "how long to run each target")
	flag.Parse()
	targets, err := list()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
	failed := 0
	for _, t := range targets {
		fmt.Printf("%s %s\n", t.pkg, t.name)
		out, err := run(t, *each)
		if err != nil && !bytes.Contains(out, []byte("Failing input written")) {
			out, err = run(t, *each) // the fuzzer may count its own end as a failure; one that is real comes again
		}
		if err != nil {
			failed++
			fmt.Printf("%s\n%v\n", out, err)
		}
	}
	fmt.Printf("%d passed, %d failed\n", len(targets)-failed, failed)
	if failed > 0 || len(targets) == 0 {
		os.Exit(1)
	}
}

// run fuzzes one target. Minimizing what is merely interesting would take all the time.
func run(t target, each string) ([]byte, error) {
	c := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", each, "-fuzzminimizetime", "1x", t.pkg)
	c.Env = append(os.Environ(), "GOFLAGS="+strings.ReplaceAll(os.Getenv("GOFLAGS"), "-race", ""))
	return c.CombinedOutput()
}

// list finds the fuzz targets of all packages.
func list() ([]target, error) {
	packages, err := exec.Command("go", "list", "-f", `{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}`, "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	var targets []target
	for _, pkg := range strings.Fields(string(packages)) {
		out, err := exec.Command("go", "test", "-list", "^Fuzz", pkg).Output()
		if err != nil {
			return nil, fmt.Errorf("list targets of %s: %w\n%s", pkg, err, out)
		}
		for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
			if strings.HasPrefix(s.Text(), "Fuzz") {
				targets = append(targets, target{pkg, s.Text()})
			}
		}
	}
	return targets, nil
}
