package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// modelFile is a model's only file.
const modelFile = "model.safetensors"

// tensor is one entry of a safetensors header.
type tensor struct {
	Type    string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

// sizes are the bytes of a value by type.
var sizes = map[string]int{"F32": 4, "I8": 1}

// floats makes values of any type of tensors of one.
func floats(tensors map[string][]float32) map[string]any {
	out := map[string]any{}
	for name, t := range tensors {
		out[name] = t
	}
	return out
}

func (n *network) save(dir string) error {
	return save(filepath.Join(dir, modelFile), floats(n.tensors()))
}

// save writes tensors, []float32 or []int8, as a safetensors file, and makes its folder.
func save(path string, tensors map[string]any) error {
	header, data := map[string]tensor{}, new(bytes.Buffer)
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		t := tensor{Type: "F32"}
		switch values := tensors[name].(type) {
		case []float32:
			t.Shape = []int{len(values)}
		case []int8:
			t.Type, t.Shape = "I8", []int{len(values)}
		}
		t.Offsets[0] = data.Len()
		if err := binary.Write(data, binary.LittleEndian, tensors[name]); err != nil {
			return err
		}
		t.Offsets[1] = data.Len()
		header[name] = t
	}
	head, err := json.Marshal(header)
	if err != nil {
		return err
	}
	head = append(head, bytes.Repeat([]byte(" "), (8-len(head)%8)%8)...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	whole := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	fmt.Printf("%d tensors, %d bytes, in %s\n", len(header), data.Len(), path)
	return os.WriteFile(path, slices.Concat(whole, head, data.Bytes()), 0o644)
}

// load reads what save wrote, quantised tensors as the numbers that they stand for.
func load(path string) (map[string][]float32, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	broken := fmt.Errorf("read %s: it is no safetensors file by this program", path)
	if len(raw) < 8 || binary.LittleEndian.Uint64(raw) > uint64(len(raw)-8) {
		return nil, broken
	}
	size := binary.LittleEndian.Uint64(raw)
	var header map[string]tensor
	if err := json.Unmarshal(raw[8:8+size], &header); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	data, out := raw[8+size:], map[string][]float32{}
	for name, t := range header {
		from, to := t.Offsets[0], t.Offsets[1]
		if sizes[t.Type] == 0 || len(t.Shape) != 1 || from < 0 || to > len(data) || to-from != t.Shape[0]*sizes[t.Type] || t.Shape[0] < 0 {
			return nil, broken
		}
		values := make([]float32, t.Shape[0])
		for i := range values {
			if t.Type == "I8" {
				values[i] = float32(int8(data[from+i]))
			} else {
				values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[from+4*i:]))
			}
		}
		out[name] = values
	}
	for name, t := range header {
		if t.Type != "I8" {
			continue
		}
		scale := out[name+".scale"]
		if len(scale) != 1 {
			return nil, broken
		}
		for i := range out[name] {
			out[name][i] *= scale[0]
		}
	}
	return out, nil
}

// loadModel reads a model, and an adapter on it where adapter is not empty.
func loadModel(dir, adapter string) (*network, error) {
	n := newNetwork()
	if err := fill(n.tensors(), filepath.Join(dir, modelFile)); err != nil {
		return nil, err
	}
	if adapter == "" {
		return n, nil
	}
	path := filepath.Join(adapter, "adapter.safetensors")
	tensors, err := load(path)
	if err != nil {
		return nil, err
	}
	rank := len(tensors["first.up"]) / hidden
	a := lowRank{rank, make([]float32, hidden*rank), make([]float32, rank*pixels)}
	if err := fill(a.tensors(), path); err != nil {
		return nil, err
	}
	return a.on(n), nil
}

// fill copies a file's tensors, which must have the sizes that they have here.
func fill(to map[string][]float32, path string) error {
	from, err := load(path)
	if err != nil {
		return err
	}
	for name, t := range to {
		if len(t) == 0 || len(from[name]) != len(t) {
			return fmt.Errorf("read %s: %d weights of %s, not %d", path, len(from[name]), name, len(t))
		}
		copy(t, from[name])
	}
	return nil
}
