package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// frameworks are the packages whose versions are worth a fact of their own.
var frameworks = map[string]bool{"accelerate": true, "datasets": true, "deepspeed": true, "flax": true, "jax": true, "keras": true,
	"lightning": true, "mxnet": true, "numpy": true, "onnx": true, "onnxruntime": true, "peft": true, "safetensors": true,
	"scikit_learn": true, "tensorflow": true, "tokenizers": true, "torch": true, "transformers": true, "trl": true, "vllm": true, "xgboost": true}

// maxPackages is how many packages are listed.
const maxPackages = 10_000

// prefixes are the installations that a command would import from: the environment that is activated, and the one whose
// interpreter it starts.
func prefixes(program string, env map[string]string) []string {
	var all []string
	add := func(dir string) {
		if dir != "" && !slices.Contains(all, dir) {
			all = append(all, dir)
		}
	}
	add(env["VIRTUAL_ENV"])
	add(env["CONDA_PREFIX"])
	if path, err := exec.LookPath(program); err == nil && strings.HasPrefix(filepath.Base(program), "python") {
		add(filepath.Dir(filepath.Dir(path))) // the link that was typed: an environment's interpreter is a link to another's
	}
	return all
}

// packages lists what is installed in the first of prefixes that has any, from the names of its metadata folders (PyPA, Recording
// installed projects): NAME-VERSION.dist-info. Nothing is imported or run.
func packages(prefixes []string) []string {
	for _, prefix := range prefixes {
		var all []string
		for _, pattern := range []string{"lib/python3*/site-packages", "lib/python3/dist-packages", "lib64/python3*/site-packages", "Lib/site-packages"} {
			dirs, err := filepath.Glob(filepath.Join(prefix, pattern))
			if err != nil {
				continue
			}
			for _, dir := range dirs {
				all = append(all, installed(dir)...)
			}
		}
		slices.Sort(all)
		if all = slices.Compact(all); len(all) > 0 {
			return all[:min(len(all), maxPackages)]
		}
	}
	return nil
}

func installed(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var all []string
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), ".dist-info")
		if name, version, both := strings.Cut(stem, "-"); ok && both && utf8.ValidString(stem) {
			all = append(all, name+"=="+version)
		}
	}
	return all
}
