package main

import (
	"math"
	"math/rand/v2"
)

const (
	hidden    = 32   // neurons between pixels and classes
	batch     = 16   // digits a step
	dataRate  = 0.10 // of learning
	tuneRate  = 0.05
	adaptRate = 0.05
)

// layer is weight·x + bias, the weight's rows one after another.
type layer struct{ weight, bias []float32 }

// network is two layers with a rectifier between them.
type network struct{ first, last layer }

func newNetwork() *network {
	return &network{layer{make([]float32, hidden*pixels), make([]float32, hidden)}, layer{make([]float32, classes*hidden), make([]float32, classes)}}
}

// randomNetwork is where training starts.
func randomNetwork(random *rand.Rand) *network {
	n := newNetwork()
	for _, l := range []struct {
		weight []float32
		inputs int
	}{{n.first.weight, pixels}, {n.last.weight, hidden}} {
		for i := range l.weight {
			l.weight[i] = float32(random.NormFloat64() * math.Sqrt(2/float64(l.inputs)))
		}
	}
	return n
}

// tensors are all weights by name.
func (n *network) tensors() map[string][]float32 {
	return map[string][]float32{"first.weight": n.first.weight, "first.bias": n.first.bias, "last.weight": n.last.weight, "last.bias": n.last.bias}
}

func (l layer) apply(x []float32) []float32 {
	out := make([]float32, len(l.bias))
	for i := range out {
		sum := l.bias[i]
		for j, w := range l.weight[i*len(x) : (i+1)*len(x)] {
			sum += w * x[j]
		}
		out[i] = sum
	}
	return out
}

// forward returns the hidden neurons and how likely each class is.
func (n *network) forward(image []float32) (inner, likely []float32) {
	inner = n.first.apply(image)
	for i, v := range inner {
		inner[i] = max(v, 0)
	}
	likely = n.last.apply(inner)
	top := likely[0]
	for _, v := range likely {
		top = max(top, v)
	}
	var sum float32
	for i, v := range likely {
		likely[i] = float32(math.Exp(float64(v - top)))
		sum += likely[i]
	}
	for i := range likely {
		likely[i] /= sum
	}
	return inner, likely
}

// reads returns the most likely class.
func (n *network) reads(image []float32) int {
	_, likely := n.forward(image)
	best := 0
	for i, v := range likely {
		if v > likely[best] {
			best = i
		}
	}
	return best
}

// backward adds the loss's gradient for one digit to g where g is not nil, and returns the gradient of the first layer's
// output.
func (n *network) backward(d digit, g *network) []float32 {
	inner, slope := n.forward(d.image)
	slope[d.label]--
	below := make([]float32, hidden)
	for i, s := range slope {
		row := n.last.weight[i*hidden : (i+1)*hidden]
		for j, w := range row {
			if inner[j] > 0 {
				below[j] += s * w
			}
			if g != nil {
				g.last.weight[i*hidden+j] += s * inner[j]
			}
		}
		if g != nil {
			g.last.bias[i] += s
		}
	}
	if g == nil {
		return below
	}
	for i, s := range below {
		if s == 0 {
			continue
		}
		g.first.bias[i] += s
		row := g.first.weight[i*pixels : (i+1)*pixels]
		for j, x := range d.image {
			row[j] += s * x
		}
	}
	return below
}

// learn goes over the data in a random order. After each batch it calls step with the loss's gradient at now().
func learn(data []digit, epochs int, random *rand.Rand, now func() *network, step func(gradient *network)) {
	for range epochs {
		order := random.Perm(len(data))
		for start := 0; start < len(order); start += batch {
			g, n := newNetwork(), now()
			part := order[start:min(start+batch, len(order))]
			for _, i := range part {
				n.backward(data[i], g)
			}
			for _, t := range g.tensors() {
				for i := range t {
					t[i] /= float32(len(part))
				}
			}
			step(g)
		}
	}
}

// descend takes one step down the gradient.
func (n *network) descend(g *network, rate float32) {
	down := g.tensors()
	for name, t := range n.tensors() {
		for i := range t {
			t[i] -= rate * down[name][i]
		}
	}
}

// accuracy is the share of digits that are read right.
func (n *network) accuracy(data []digit) float64 {
	right := 0
	for _, d := range data {
		if n.reads(d.image) == d.label {
			right++
		}
	}
	return float64(right) / float64(len(data))
}

// against returns d, each pixel changed by at most strength in the direction that misleads n most: the fast gradient sign
// method (Goodfellow, Shlens, Szegedy 2015).
func (n *network) against(d digit, strength float32) digit {
	below := n.backward(d, nil)
	slope := make([]float32, pixels)
	for i, s := range below {
		if s == 0 {
			continue
		}
		for j, w := range n.first.weight[i*pixels : (i+1)*pixels] {
			slope[j] += s * w
		}
	}
	out := digit{make([]float32, pixels), d.label}
	for i, p := range d.image {
		switch {
		case slope[i] > 0:
			p += strength
		case slope[i] < 0:
			p -= strength
		}
		out.image[i] = min(max(p, 0), 1)
	}
	return out
}
