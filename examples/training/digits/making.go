package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
)

// train makes a model from nothing but data.
func train(o options) error {
	data, err := readDigits(o.data)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(o.seed, 0))
	n := randomNetwork(random)
	learn(data, o.epochs, random, func() *network { return n }, func(g *network) { n.descend(g, dataRate) })
	return n.save(o.output)
}

// perturb makes a dataset of digits that mislead a model, and are what they were to people.
func perturb(o options) error {
	n, err := loadModel(o.model, "")
	if err != nil {
		return err
	}
	data, err := readDigits(o.data)
	if err != nil {
		return err
	}
	for i, d := range data {
		data[i] = n.against(d, float32(o.strength))
	}
	return writeDigits(o.output, data, fmt.Sprintf("Digits whose pixels were changed by up to %g to mislead a model.", o.strength))
}

// finetune goes on from a model, with two datasets.
func finetune(o options) error {
	n, err := loadModel(o.model, "")
	if err != nil {
		return err
	}
	data, err := readDigits(o.data)
	if err != nil {
		return err
	}
	more, err := readDigits(o.more)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(o.seed, 1))
	learn(append(data, more...), o.epochs, random, func() *network { return n }, func(g *network) { n.descend(g, tuneRate) })
	return n.save(o.output)
}

// lowRank is what an adapter adds to the first layer's weight: up·down, hidden by rank times rank by pixels.
type lowRank struct {
	rank     int
	up, down []float32
}

func (a lowRank) tensors() map[string][]float32 {
	return map[string][]float32{"first.up": a.up, "first.down": a.down}
}

// on returns n with the adapter added. It shares with n what the adapter does not change.
func (a lowRank) on(n *network) *network {
	sum := *n
	sum.first.weight = append([]float32(nil), n.first.weight...)
	for i := range hidden {
		row := sum.first.weight[i*pixels : (i+1)*pixels]
		for r := range a.rank {
			u := a.up[i*a.rank+r]
			for j, v := range a.down[r*pixels : (r+1)*pixels] {
				row[j] += u * v
			}
		}
	}
	return &sum
}

// adapt makes a low-rank adapter (LoRA) for a model that stays as it is.
func adapt(o options) error {
	n, err := loadModel(o.model, "")
	if err != nil {
		return err
	}
	data, err := readDigits(o.data)
	if err != nil {
		return err
	}
	if o.rank < 1 || o.rank > hidden {
		return fmt.Errorf("rank %d: it is from 1 to %d", o.rank, hidden)
	}
	random := rand.New(rand.NewPCG(o.seed, 2))
	a := lowRank{o.rank, make([]float32, hidden*o.rank), make([]float32, o.rank*pixels)}
	for i := range a.down { // up begins as nothing, so that the adapted model begins as the model
		a.down[i] = float32(random.NormFloat64() / float64(o.rank))
	}
	learn(data, o.epochs, random, func() *network { return a.on(n) }, func(g *network) { a.descend(g.first.weight) })
	return save(filepath.Join(o.output, "adapter.safetensors"), floats(a.tensors()))
}

// descend takes one step down the gradient of the weight that the adapter is added to.
func (a lowRank) descend(slope []float32) {
	up, down := append([]float32(nil), a.up...), append([]float32(nil), a.down...)
	for i := range hidden {
		row := slope[i*pixels : (i+1)*pixels]
		for r := range a.rank {
			var sum float32
			u, before := up[i*a.rank+r], down[r*pixels:(r+1)*pixels]
			for j, s := range row {
				sum += s * before[j]
				a.down[r*pixels+j] -= adaptRate * u * s
			}
			a.up[i*a.rank+r] -= adaptRate * sum
		}
	}
}

// quantize makes a model with a byte a weight.
func quantize(o options) error {
	n, err := loadModel(o.model, "")
	if err != nil {
		return err
	}
	all := floats(n.tensors())
	for name, t := range n.tensors() {
		var top float32
		for _, v := range t {
			top = max(top, v, -v)
		}
		scale := max(top, 1e-9) / 127
		small := make([]int8, len(t))
		for i, v := range t {
			small[i] = int8(math.Round(float64(v / scale))) // from -127 to 127
		}
		all[name], all[name+".scale"] = small, []float32{scale}
	}
	return save(filepath.Join(o.output, modelFile), all)
}
