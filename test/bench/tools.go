package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
	"github.com/hallmark-project/hallmark/test/interop/modelsigning"
)

// operation is what a row measures.
type operation string

const (
	hash   operation = "hash"
	sign   operation = "sign"
	verify operation = "verify"
	start  operation = "start"

	shards operation = "shards" // check a file that was signed in shards: their digests, and no other
	both   operation = "both"   // the digests of shards, and of the whole for the artifact ID
	fast   operation = "blake3" // check a file that was signed by BLAKE3
	files  operation = "files"  // the digests of small files by the libraries, without an artifact ID: its tars need one more digest of each byte
)

// shardSize is that of shards and both, in bytes.
const shardSize = 64 << 20

// onDisk are the operations that need no registry.
var onDisk = []operation{hash, sign, verify}

// Names of the tools, as the tables print them.
const (
	hallmarkName = "hallmark"
	oneCoreName  = "hallmark, one core"
	bareName     = "bare Go loop"
	bareManyName = "bare Go loops, one a core"
	opensslName  = "openssl"
	sha256Name   = "sha256sum"
	pythonName   = "model_signing"
	b3sumName    = "b3sum"
	oneLaneName  = "one-stream limit"
	twoLanesName = "two-lane limit"

	manyLanesName = "many-lane limit"
)

// tool is one of the programs that are measured.
type tool struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Note    string `json:"note,omitempty"`
	Peer    bool   `json:"peer"`              // it computes the same as we do, so that we must not be slower
	Missing string `json:"missing,omitempty"` // why it can't be measured here; empty: it can

	tasks func(op operation, d *dataset) *task // nil where the tool does no such thing
}

// bench is the tools with what they need.
type bench struct {
	dir   string // for data; removed at the end
	tools []*tool
	far   *remote
	say   func(format string, args ...any)
}

// prepare builds hallmark, makes its key, and finds or installs the peers. Only what is our own has to work.
func prepare(ctx context.Context, dir string, say func(string, ...any)) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	say("building hallmark")
	binary := filepath.Join(dir, "hallmark")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s", "-o", binary, "github.com/hallmark-project/hallmark/cmd/hallmark")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as `make build` does
	if _, err := output(build); err != nil {
		return nil, fmt.Errorf("build hallmark: %w", err)
	}
	key := filepath.Join(dir, "key")
	if _, err := output(exec.CommandContext(ctx, binary, "keygen", key)); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	far := &remote{dir: filepath.Join(dir, "registry"), binary: binary, key: key, self: self}
	return &bench{dir: dir, far: far, say: say, tools: []*tool{
		ours(ctx, self, binary, key, far),
		oursOnOneCore(binary),
		limits(self, oneLaneName, 1),
		limits(self, twoLanesName, 2),
		limits(self, manyLanesName, lanes.Most),
		bare(self, bareName, 1),
		bare(self, bareManyName, runtime.NumCPU()),
		hashCommand(ctx, opensslName, true, []string{"dgst", "-sha256"}, []string{"version"}),
		hashCommand(ctx, sha256Name, true, nil, []string{"--version"}),
		python(ctx, key, say),
		b3sum(ctx, say),
		oursUncut(far),
		oras(ctx, far, say),
		bareDownloads(far),
		bareUploads(far),
	}}, nil
}

// ours is the project's own binary, as a person runs it.
func ours(ctx context.Context, self, binary, key string, far *remote) *tool {
	t := &tool{Name: hallmarkName}
	if out, err := output(exec.CommandContext(ctx, binary, "version")); err == nil {
		t.Version = strings.TrimPrefix(out, hallmarkName+" ")
	}
	t.tasks = func(op operation, d *dataset) *task {
		signing := []string{binary, "sign", "--quiet", "--private-key", key + ".key"}
		switch op {
		case start:
			return &task{args: []string{binary, "version"}}
		case hash:
			return &task{args: []string{binary, "digest", "--quiet", d.path}}
		case sign:
			return &task{args: append(signing, d.path), after: removes(d.evidence()...)}
		case files:
			return &task{args: []string{self, libraryCommand, d.path}}
		case both:
			return &task{args: []string{binary, "digest", "--quiet", "--shard-size", fmt.Sprint(shardSize), d.path}}
		case shards:
			signing = append(signing, "--shard-size", fmt.Sprint(shardSize))
		case fast:
			signing = append(signing, "--hash", "blake3")
		case verify:
		default:
			return far.ours(op, d)
		}
		return &task{
			args:    []string{binary, "verify", "--quiet", "--public-key", key + ".pub", d.path},
			prepare: runs(append(signing, d.path)),
			cleanup: removes(d.evidence()...),
		}
	}
	return t
}

// oursOnOneCore tells how much of hallmark's speed is its use of several.
func oursOnOneCore(binary string) *tool {
	return &tool{Name: oneCoreName, Note: "GOMAXPROCS=1", tasks: func(op operation, d *dataset) *task {
		if op != hash {
			return nil
		}
		return &task{args: []string{binary, "digest", "--quiet", d.path}, env: []string{"GOMAXPROCS=1"}}
	}}
}

// bare is this program as a loop that reads and hashes. One loop is a peer like any that hashes with one core; one a
// core is the limit of the machine.
func bare(self, name string, loops int) *tool {
	return &tool{Name: name, Note: "1 MiB reads, crypto/sha256", Version: runtime.Version(), Peer: loops == 1,
		tasks: func(op operation, d *dataset) *task {
			if op != hash || d.Files == 1 && loops > 1 {
				return nil
			}
			return &task{args: []string{self, bareLoopCommand, fmt.Sprint(loops)}, input: d.list, dir: d.dir}
		}}
}

// hashCommand is a tool that takes the names of files and prints their digests; many come to it through xargs.
func hashCommand(ctx context.Context, name string, peer bool, args, version []string) *tool {
	t := &tool{Name: name, Peer: peer}
	path, err := exec.LookPath(name)
	if err == nil {
		t.Version, err = output(exec.CommandContext(ctx, path, version...))
	}
	if err != nil {
		t.Missing = err.Error()
	}
	t.tasks = func(op operation, d *dataset) *task {
		command := append([]string{path}, args...)
		switch {
		case op == start:
			return &task{args: append([]string{path}, version...)}
		case op != hash:
			return nil
		case d.few():
			return &task{args: append(command, d.names...), dir: d.dir}
		}
		return &task{args: append([]string{"xargs", "-0"}, command...), input: d.list, dir: d.dir}
	}
	return t
}

// hashWithPython is what the reference implementation's library offers where its command line has no such command.
const hashWithPython = "import sys, model_signing\nmodel_signing.hashing.hash(sys.argv[1])"

// shardsWithPython is the same in shards.
const shardsWithPython = "import sys, model_signing\nmodel_signing.hashing.Config().use_shard_serialization(shard_size=int(sys.argv[2])).hash(sys.argv[1])"

// python is the reference implementation. Its signature lies outside of the artifact, and it is told to leave out ours.
func python(ctx context.Context, key string, say func(string, ...any)) *tool {
	t := &tool{Name: pythonName, Peer: true, Note: "hash: its library; sign, verify: its command line"}
	say("looking for model_signing %s (installed where it is missing)", modelsigning.Version)
	client, err := modelsigning.Install(ctx)
	if err != nil {
		t.Missing = err.Error()
	} else {
		t.Version = modelsigning.Version
	}
	t.tasks = func(op operation, d *dataset) *task {
		if client == nil {
			return &task{}
		}
		cli := func(verb, keyFlag, keyFile string) []string {
			args := []string{verb, "key", d.path, "--signature", d.dir + ".python.sig", keyFlag, keyFile}
			for _, path := range d.evidence() {
				args = append(args, "--ignore-paths", path)
			}
			return client.CLI(ctx, args...).Args
		}
		switch op {
		case start:
			return &task{args: client.CLI(ctx, "--version").Args}
		case hash, files:
			return &task{args: client.Script(ctx, hashWithPython, d.path).Args}
		case shards:
			return &task{args: client.Script(ctx, shardsWithPython, d.path, fmt.Sprint(shardSize)).Args}
		case sign:
			return &task{args: cli("sign", "--private_key", key+".key"), after: removes(d.dir + ".python.sig")}
		case verify:
			return &task{
				args:    cli("verify", "--public_key", key+".pub"),
				prepare: runs(cli("sign", "--private_key", key+".key")),
				cleanup: removes(d.dir + ".python.sig"),
			}
		}
		return nil
	}
	return t
}

// b3sumVersion is the release that is installed where there is none.
const b3sumVersion = "1.8.7"

// b3sum hashes with BLAKE3 and several cores: no peer, but what another algorithm would give.
func b3sum(ctx context.Context, say func(string, ...any)) *tool {
	cache, err := os.UserCacheDir()
	if err != nil {
		return &tool{Name: b3sumName, Missing: err.Error()}
	}
	root := filepath.Join(cache, "hallmark-interop", "b3sum-"+b3sumVersion)
	path := filepath.Join(root, "bin", "b3sum")
	if own, err := exec.LookPath(b3sumName); err == nil {
		path = own
	} else if _, err := os.Stat(path); err != nil {
		say("installing b3sum %s", b3sumVersion)
		install := exec.CommandContext(ctx, "cargo", "install", "b3sum", "--version", b3sumVersion, "--locked", "--quiet", "--root", root)
		if _, err := output(install); err != nil {
			return &tool{Name: b3sumName, Note: "BLAKE3, for information", Missing: "install: " + err.Error(), tasks: onlyHashes}
		}
	}
	t := hashCommand(ctx, path, false, nil, []string{"--version"})
	t.Name, t.Note = b3sumName, "BLAKE3; with SHA-256, for information"
	hashes := t.tasks
	t.tasks = func(op operation, d *dataset) *task {
		if op == fast {
			op = hash
		}
		return hashes(op, d)
	}
	return t
}

// onlyHashes stands for the tasks of a tool that can't be had, so that its rows say so.
func onlyHashes(op operation, _ *dataset) *task {
	if op == hash || op == fast {
		return &task{}
	}
	return nil
}

// removes returns a step that deletes files, whether they are there or not.
func removes(paths ...string) func() error {
	return func() error {
		for _, path := range paths {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
		return nil
	}
}

// runs returns a step that runs a command.
func runs(args []string) func(context.Context) error {
	return func(ctx context.Context) error {
		c := exec.CommandContext(ctx, args[0], args[1:]...)
		c.Env = cleanEnvironment(os.Environ())
		_, err := output(c)
		return err
	}
}

// output runs a small command and returns the first line that it printed. The error carries the end of its stderr.
func output(c *exec.Cmd) (string, error) {
	var said tail
	c.Stderr = &said
	out, err := c.Output()
	if err != nil && len(said.kept) == 0 {
		return "", fmt.Errorf("run %s: %w", filepath.Base(c.Path), err)
	}
	if err != nil {
		return "", fmt.Errorf("run %s: %w: %q", filepath.Base(c.Path), err, said.String())
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first, nil
}
