package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// dataset is an artifact of some number of equally large files of random bytes, the same in every run.
type dataset struct {
	Name  string
	Files int
	Size  int64 // of each file, in bytes

	operations []operation // what is measured with it
	sparse     bool        // zeros that take no room on the disk, where nothing is to be read

	path  string   // what is hashed and signed: the folder, or the one file
	dir   string   // the folder
	names []string // of the files, relative to dir
}

// datasets are what is measured. scale divides the bytes: of few files their size, of many files their number, so that
// a row stays a row of large or of small files.
func datasets(scale int) []*dataset {
	n := int64(scale)
	return []*dataset{
		{Name: "one", Files: 1, Size: 4 << 30 / n, operations: []operation{hash, shards, both, fast, sign, verify, push, pull}},
		{Name: "eight", Files: 8, Size: 512 << 20 / n, operations: onDisk},
		{Name: "small", Files: max(1, 20_000/scale), Size: 100_000, operations: []operation{hash, files, sign, verify}},
		{Name: "many", Files: max(1, 100_000/scale), Size: 4096, operations: onDisk},
		{Name: "two", Files: 2, Size: 512 << 20 / n, operations: []operation{push, pushAgain, pull, pullCut}},
		{Name: "repo", Files: max(1, 2000/scale), Size: 100_000, operations: []operation{push, pushAgain, pull}},
		{Name: "tiny", Files: 1, Size: 100_000, operations: []operation{verifyRef}},
		{Name: "ten", Files: 1, Size: 10 << 30 / n, operations: []operation{verifyRef}, sparse: true},
	}
}

// bytes is the size of all files.
func (d *dataset) bytes() int64 { return int64(d.Files) * d.Size }

// few reports whether the files' names fit into a command line comfortably.
func (d *dataset) few() bool { return d.Files <= 100 }

// perFolder is how many files lie in one folder: a model's repository is not flat.
const perFolder = 1000

// generate writes the files under parent and waits until they are on the disk, so that no write-back disturbs what is
// measured next. Nothing else is in the dataset's folder.
func (d *dataset) generate(ctx context.Context, parent string) error {
	d.dir = filepath.Join(parent, d.Name)
	d.path = d.dir
	buffer := make([]byte, min(d.Size, 1<<20))
	for i := range d.Files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name := fmt.Sprintf("%03d/%06d.bin", i/perFolder, i)
		if d.few() {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, d.Files)
		}
		if err := d.write(filepath.Join(d.dir, name), uint64(i), buffer); err != nil {
			return fmt.Errorf("make data %s: %w", d.Name, err)
		}
		d.names = append(d.names, name)
	}
	if d.Files == 1 {
		d.path = filepath.Join(d.dir, d.names[0])
	}
	flushDisk()
	return nil
}

// write fills one file with random bytes that depend on the dataset and on seed: no two files are equal, and none can
// be compressed.
func (d *dataset) write(path string, seed uint64, buffer []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if d.sparse {
		return errors.Join(f.Truncate(d.Size), f.Close())
	}
	var key [32]byte
	copy(key[:24], d.Name)
	binary.LittleEndian.PutUint64(key[24:], seed)
	random := rand.NewChaCha8(key)
	for left := d.Size; left > 0; {
		part := buffer[:min(left, int64(len(buffer)))]
		random.Read(part) // never fails
		if _, err := f.Write(part); err != nil {
			return err
		}
		left -= int64(len(part))
	}
	return f.Close()
}

// warm reads every byte once. What was just written is in the page cache already, unless memory ran out.
func (d *dataset) warm(ctx context.Context) error {
	if d.sparse {
		return nil
	}
	for _, name := range d.names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f, err := os.Open(filepath.Join(d.dir, name))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// list is the names as xargs -0 and the bare loop read them.
func (d *dataset) list() io.Reader {
	var b bytes.Buffer
	for _, name := range d.names {
		b.WriteString(name)
		b.WriteByte(0)
	}
	return &b
}

// evidence is what `hallmark sign` writes, in the artifact's folder or beside the one file.
func (d *dataset) evidence() []string {
	if d.path == d.dir {
		return []string{filepath.Join(d.dir, "model.sig"), filepath.Join(d.dir, "claims.sig")}
	}
	return []string{d.path + ".sig", d.path + ".claims.sig"}
}

// remove deletes the files.
func (d *dataset) remove() error { return os.RemoveAll(d.dir) }
