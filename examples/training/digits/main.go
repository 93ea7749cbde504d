// Command digits makes and measures models that read handwritten digits, for the example: small enough to be trained within
// a second, with Go's standard library alone, and real enough to be fine-tuned, adapted, quantised and attacked.
//
// Nothing in it knows of Hallmark. What it makes depends on its inputs, flags and the machine's floating point, not on time.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

// options is what the flags say; each command reads those that it needs.
type options struct {
	data, more, model, adapter, output string
	split                              string
	count, epochs, rank                int
	seed                               uint64
	slant                              float64
	strength, least                    float64
	dataset, report                    string
}

// commands by name. Each reads directories and writes one, or a report.
var commands = map[string]func(options) error{
	"draw": draw, "prepare": prepare, "perturb": perturb, "scan": scan,
	"train": train, "finetune": finetune, "adapt": adapt, "quantize": quantize,
	"evaluate": evaluate, "attack": attack,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "digits:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("usage: digits draw|prepare|perturb|scan|train|finetune|adapt|quantize|evaluate|attack -FLAG VALUE…")
	}
	var o options
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.StringVar(&o.data, "data", "", "directory of the dataset")
	f.StringVar(&o.more, "more", "", "directory of a second dataset")
	f.StringVar(&o.model, "model", "", "directory of the model")
	f.StringVar(&o.adapter, "adapter", "", "directory of an adapter for the model")
	f.StringVar(&o.output, "output", "", "directory to make")
	f.StringVar(&o.split, "split", "train", "part of the raw dataset: train or t10k")
	f.IntVar(&o.count, "count", 4000, "how many digits")
	f.IntVar(&o.epochs, "epochs", 8, "passes over the data")
	f.IntVar(&o.rank, "rank", 4, "rank of the adapter's matrices")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the random numbers")
	f.Float64Var(&o.slant, "slant", 0, "how far to slant each digit: columns a row")
	f.Float64Var(&o.strength, "strength", 0.05, "largest change of a pixel, from 0 to 1")
	f.Float64Var(&o.least, "least", 0, "share of digits that must be read right to pass")
	f.StringVar(&o.dataset, "dataset", "", "artifact ID of the dataset, for the report")
	f.StringVar(&o.report, "report", "", "file to write the report to")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%s: no argument %q", args[0], f.Arg(0))
	}
	if err := commands[args[0]](o); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}
