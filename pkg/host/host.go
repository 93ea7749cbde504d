package host

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// Options says what a command that is looked at beforehand would see. The zero Options is this process's own directory with
// no environment.
type Options struct {
	Dir     string   // working directory; "": this process's
	Program string   // the command's program, as it is typed; "": unknown
	Environ []string // NAME=VALUE each, without secrets
	Apart   []string // see FindCommit
}

// Facts is what Find found. What was not found is empty.
type Facts struct {
	Commit     *Commit           // of the working directory; nil: none
	CommitErr  error             // why there is none, where a working tree is there and git did not say
	LockFiles  []File            // in the working directory, by name
	Packages   []string          // Python packages, as NAME==VERSION, sorted
	Notes      map[string]string // system, accelerators, frameworks, by name
	Invocation string            // URL of the CI job
}

// File is a file by its digest.
type File struct {
	Name   string
	SHA256 hashing.Sum
}

// Find looks around. It errs where ctx ends; what cannot be read was not found.
func Find(ctx context.Context, o Options) (Facts, error) {
	if o.Dir == "" {
		o.Dir = "."
	}
	type found struct {
		commit Commit
		err    error
	}
	asked := make(chan found, 1) // git takes as long as all the rest
	go func() {
		c, err := FindCommit(ctx, o.Dir, o.Environ, o.Apart)
		asked <- found{c, err}
	}()
	env := variables(o.Environ)
	f := Facts{LockFiles: lockFiles(o.Dir), Packages: packages(prefixes(o.Program, env)), Invocation: invocation(env)}
	f.Notes = notes(env, f.Packages)
	answer := <-asked
	switch {
	case ctx.Err() != nil:
		return Facts{}, context.Cause(ctx)
	case answer.err == nil:
		f.Commit = &answer.commit
	default:
		f.CommitErr = answer.err
	}
	return f, nil
}

func variables(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	return env
}

// The files that pin what a program is built from, and the largest that is read, in bytes.
var lockNames = []string{"Cargo.lock", "Pipfile.lock", "conda-lock.yml", "environment.yml", "flake.lock", "go.sum", "package-lock.json", "pdm.lock",
	"pixi.lock", "poetry.lock", "pylock.toml", "requirements.lock", "requirements.txt", "uv.lock"}

const maxLock = 64 << 20

func lockFiles(dir string) []File {
	var all []File
	for _, name := range lockNames {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue // a pipe would be waited for
		}
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		sum := hashing.NewStream()
		n, err := io.Copy(sum, io.LimitReader(f, maxLock+1))
		_ = f.Close()
		if err == nil && n <= maxLock {
			all = append(all, File{name, sum.Sum()})
		}
	}
	return all
}

// invocation is the URL of the job that CI systems name in their documented variables.
func invocation(env map[string]string) string {
	switch {
	case env["GITHUB_RUN_ID"] != "" && env["GITHUB_SERVER_URL"] != "" && env["GITHUB_REPOSITORY"] != "":
		url := env["GITHUB_SERVER_URL"] + "/" + env["GITHUB_REPOSITORY"] + "/actions/runs/" + env["GITHUB_RUN_ID"]
		if attempt := env["GITHUB_RUN_ATTEMPT"]; attempt != "" {
			url += "/attempts/" + attempt
		}
		return url
	case env["CI_JOB_URL"] != "":
		return env["CI_JOB_URL"]
	case env["BUILDKITE_BUILD_URL"] != "" && env["BUILDKITE_JOB_ID"] != "":
		return env["BUILDKITE_BUILD_URL"] + "#" + env["BUILDKITE_JOB_ID"]
	}
	return ""
}

// notes are facts about the machine, each by the cheapest file that tells it.
func notes(env map[string]string, packages []string) map[string]string {
	n := map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH, "cpus": strconv.Itoa(runtime.NumCPU())}
	first := func(name, path string) {
		if line := firstLine(path); line != "" {
			n[name] = line
		}
	}
	first("nvidia.driver", "/proc/driver/nvidia/version")
	first("amdgpu.driver", "/sys/module/amdgpu/version")
	if cards, err := filepath.Glob("/proc/driver/nvidia/gpus/*/information"); err == nil && len(cards) > 0 {
		models := make([]string, 0, len(cards))
		for _, card := range cards {
			_, model, _ := strings.Cut(firstLine(card), ":")
			models = append(models, strings.TrimSpace(model))
		}
		n["nvidia.gpus"] = strings.Join(models, ", ")
	}
	if accelerators, err := filepath.Glob("/dev/accel*"); err == nil && len(accelerators) > 0 {
		n["accelerators"] = strconv.Itoa(len(accelerators))
	}
	for _, name := range []string{"CUDA_VERSION", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "ROCM_VERSION", "ROCR_VISIBLE_DEVICES"} {
		if value := env[name]; value != "" {
			n[name] = value
		}
	}
	for _, p := range packages {
		if name, version, _ := strings.Cut(p, "=="); frameworks[strings.ToLower(name)] {
			n["python."+strings.ToLower(name)] = version
		}
	}
	return n
}

// firstLine is the first line of a small file; empty where there is none.
func firstLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return ""
	}
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	return strings.TrimSpace(strings.ToValidUTF8(string(line), "\uFFFD"))
}
