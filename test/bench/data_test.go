package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDataIsTheSameInEveryRun(t *testing.T) {
	read := func(d *dataset) [][]byte {
		t.Helper()
		if err := d.generate(context.Background(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
		if err := d.warm(context.Background()); err != nil {
			t.Fatal(err)
		}
		var all [][]byte
		for _, name := range d.names {
			content, err := os.ReadFile(filepath.Join(d.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(content)) != d.Size {
				t.Errorf("%s has %d bytes, want %d", name, len(content), d.Size)
			}
			all = append(all, content)
		}
		return all
	}
	first := read(&dataset{Name: "few", Files: 2, Size: 3000})
	second := read(&dataset{Name: "few", Files: 2, Size: 3000})
	if !bytes.Equal(first[0], second[0]) || !bytes.Equal(first[1], second[1]) {
		t.Error("two runs have different data")
	}
	if bytes.Equal(first[0], first[1]) {
		t.Error("two files are equal")
	}
}

func TestEvidenceLiesWhereHallmarkPutsIt(t *testing.T) {
	one, two := &dataset{Name: "a", Files: 1, Size: 1}, &dataset{Name: "b", Files: 2, Size: 1}
	for _, d := range []*dataset{one, two} {
		if err := d.generate(context.Background(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	if got := one.evidence()[0]; got != one.path+".sig" {
		t.Errorf("signature of one file at %s", got)
	}
	if got := two.evidence()[0]; got != filepath.Join(two.path, "model.sig") {
		t.Errorf("signature of a directory at %s", got)
	}
}

func TestScaleDividesBytes(t *testing.T) {
	full, scaled := datasets(1), datasets(16)
	for i := range full {
		if full[i].Name == "tiny" { // as small as it gets
			continue
		}
		if got, want := scaled[i].bytes(), full[i].bytes()/16; got != want {
			t.Errorf("%s has %d bytes, want %d", scaled[i].Name, got, want)
		}
	}
	if full[0].bytes() != 4<<30 || full[1].Files != 8 || full[2].Files != 20_000 || full[3].Files != 100_000 {
		t.Errorf("the data is not what the targets are stated for: %+v", full)
	}
}

func TestRowsAreChosenByName(t *testing.T) {
	s, err := parse([]string{"--rows", "one/hash,small"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"one/hash": true, "one/sign": false, "small/verify": true, "many/hash": false, "startup/start": false} {
		data, op, _ := strings.Cut(name, "/")
		if got := s.wants(data, operation(op)); got != want {
			t.Errorf("%s wanted: %v, want %v", name, got, want)
		}
	}
	if all := (settings{}); !all.wants("many", sign) || !all.wants(startUp, start) {
		t.Error("no --rows does not mean all")
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"--rows", "on"}, {"--runs", "0"}, {"--scale", "0"}, {"one"}, {"--rows", "one/verfy"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	if _, err := parse([]string{"--rows", "one/verify,startup", "--runs", "1", "--scale", "2", "--json"}, io.Discard); err != nil {
		t.Error(err)
	}
}
