package main

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// The raw dataset has images of rawSide by rawSide pixels; the prepared ones have side by side, each the mean of four.
const (
	rawSide = 28
	side    = rawSide / 2
	pixels  = side * side
	classes = 10
)

// The files of a prepared dataset.
const (
	readmeFile = "README.md"
	digitsFile = "digits.csv"
)

// digit is one image, row by row, from 0 (paper) to 1 (ink), and what it shows.
type digit struct {
	image []float32
	label int
}

// prepare makes a dataset of CSV lines from the first digits of a part of the raw one.
func prepare(o options) error {
	images, err := readIDX(filepath.Join(o.data, o.split+"-images-idx3-ubyte.gz"), 2051, rawSide, rawSide)
	if err != nil {
		return err
	}
	labels, err := readIDX(filepath.Join(o.data, o.split+"-labels-idx1-ubyte.gz"), 2049)
	if err != nil {
		return err
	}
	const size = rawSide * rawSide
	if len(images) != len(labels)*size || len(labels) < o.count {
		return fmt.Errorf("%d labels and %d bytes of images, and %d digits are wanted", len(labels), len(images), o.count)
	}
	all := make([]digit, o.count)
	for i := range all {
		all[i] = digit{shrink(images[i*size:(i+1)*size], o.slant), int(labels[i])}
	}
	return writeDigits(o.output, all, fmt.Sprintf("%d digits of the %s part, slanted by %g columns a row.", o.count, o.split, o.slant))
}

// shrink slants an image about its middle and takes the mean of every four pixels.
func shrink(raw []byte, slant float64) []float32 {
	out := make([]float32, pixels)
	for y := range rawSide {
		shift := int(slant * float64(rawSide/2-y))
		for x := range rawSide {
			if from := x - shift; from >= 0 && from < rawSide {
				out[y/2*side+x/2] += float32(raw[y*rawSide+from]) / (4 * 255)
			}
		}
	}
	return out
}

// readIDX returns the bytes of a gzipped IDX file, which must have this magic number and these sizes after the first.
func readIDX(path string, magic uint32, sizes ...uint32) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	header := make([]uint32, 2+len(sizes))
	if err := binary.Read(z, binary.BigEndian, header); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if header[0] != magic {
		return nil, fmt.Errorf("read %s: magic number %d, not %d", path, header[0], magic)
	}
	want := int64(header[1])
	for i, size := range sizes {
		if header[2+i] != size {
			return nil, fmt.Errorf("read %s: %d rows or columns, not %d", path, header[2+i], size)
		}
		want *= int64(size)
	}
	data, err := io.ReadAll(io.LimitReader(z, want+1))
	if err == nil && int64(len(data)) != want {
		err = fmt.Errorf("%d bytes or more, not %d", len(data), want)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

// writeDigits makes a directory with one CSV line a digit, its label and its pixels from 0 to 255, and a note about them.
func writeDigits(dir string, all []digit, note string) error {
	var lines [][]string
	for _, d := range all {
		line := []string{strconv.Itoa(d.label)}
		for _, p := range d.image {
			line = append(line, strconv.Itoa(int(p*255+0.5)))
		}
		lines = append(lines, line)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, readmeFile), []byte("# Digits\n\n"+note+"\n"), 0o644); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, digitsFile))
	if err != nil {
		return err
	}
	if err := csv.NewWriter(f).WriteAll(lines); err != nil { // it flushes
		_ = f.Close()
		return err
	}
	fmt.Printf("%d digits in %s\n", len(all), dir)
	return f.Close()
}

func readDigits(dir string) ([]digit, error) {
	f, err := os.Open(filepath.Join(dir, digitsFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord, r.ReuseRecord = 1+pixels, true
	var all []digit
	for {
		line, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", dir, err)
		}
		var values [1 + pixels]uint8
		for i, field := range line {
			v, err := strconv.ParseUint(field, 10, 8)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", dir, err)
			}
			values[i] = uint8(v)
		}
		if values[0] >= classes {
			return nil, fmt.Errorf("read %s: %d is no digit", dir, values[0])
		}
		d := digit{make([]float32, pixels), int(values[0])}
		for i, v := range values[1:] {
			d.image[i] = float32(v) / 255
		}
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("read %s: no digits", dir)
	}
	return all, nil
}
