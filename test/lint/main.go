// Command lint holds the tree to its form: gofmt, go vet, staticcheck, a tidy go.mod.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const staticcheck = "honnef.co/go/tools/cmd/staticcheck@v0.8.2"

func main() {
	failed := false
	check := func(name string, complaint string, err error) {
		complaint = strings.TrimSpace(complaint)
		if err != nil || complaint != "" {
			failed = true
			fmt.Printf("%s:\n%s\n", name, complaint)
			if err != nil {
				fmt.Println(err)
			}
			return
		}
		fmt.Printf("%s: ok\n", name)
	}
	out, err := output("gofmt", "-l", ".")
	check("gofmt", out, err)
	out, err = output("go", "vet", "./...")
	check("go vet", out, err)
	out, err = output("go", "run", staticcheck, "./...")
	check("staticcheck", out, err)
	out, err = output("go", "mod", "tidy", "-diff")
	check("go mod tidy", out, err)
	if failed {
		os.Exit(1)
	}
}

func output(name string, args ...string) (string, error) {
	var out bytes.Buffer
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	var complaint strings.Builder
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "go: downloading ") { // the first time on a machine, and no complaint
			complaint.WriteString(line)
		}
	}
	return complaint.String(), err
}
