package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// strokes are the segments of a seven-segment display that show each digit: bit 0 is the top, then clockwise, bit 6 the middle.
var strokes = [classes]uint8{0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f}

// ends are the two ends of each segment, x and y, in a box of 12 by 20 pixels.
var ends = [7][4]int{{0, 0, 11, 0}, {11, 0, 11, 10}, {11, 10, 11, 19}, {0, 19, 11, 19}, {0, 10, 0, 19}, {0, 0, 0, 10}, {0, 10, 11, 10}}

// draw makes a stand-in for the raw dataset where that one can't be had: digits of segments, each somewhere else, smudged.
func draw(o options) error {
	if err := os.MkdirAll(o.output, 0o755); err != nil {
		return err
	}
	for i, part := range []string{"train", "t10k"} {
		random := rand.New(rand.NewPCG(o.seed, uint64(i)))
		var images, labels []byte
		for range o.count {
			label := random.IntN(classes)
			labels, images = append(labels, byte(label)), append(images, drawOne(label, random)...)
		}
		if err := writeIDX(filepath.Join(o.output, part+"-images-idx3-ubyte.gz"), images, 2051, uint32(o.count), rawSide, rawSide); err != nil {
			return err
		}
		if err := writeIDX(filepath.Join(o.output, part+"-labels-idx1-ubyte.gz"), labels, 2049, uint32(o.count)); err != nil {
			return err
		}
	}
	return nil
}

func drawOne(label int, random *rand.Rand) []byte {
	image := make([]byte, rawSide*rawSide)
	for i := range image { // paper that is not white
		image[i] = byte(random.IntN(20))
	}
	left, top := 6+random.IntN(5), 2+random.IntN(5)
	for segment, e := range ends {
		if strokes[label]>>segment&1 == 0 {
			continue
		}
		for x := e[0]; x <= e[2]; x++ {
			for y := e[1]; y <= e[3]; y++ {
				for pen := range 4 { // two pixels wide, of pale and uneven ink
					image[(top+y+pen/2)*rawSide+left+x+pen%2] = byte(170 + random.IntN(85))
				}
			}
		}
	}
	return image
}

func writeIDX(path string, data []byte, header ...uint32) error {
	var raw bytes.Buffer
	z := gzip.NewWriter(&raw)
	for _, part := range []any{header, data} {
		if err := binary.Write(z, binary.BigEndian, part); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, raw.Bytes(), 0o644)
}
