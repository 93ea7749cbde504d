package host_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/host"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// git runs git in dir as nobody in particular.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	c := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// environ is this process's, with a home of its own.
func environ(t *testing.T) []string {
	return append(os.Environ(), "HOME="+t.TempDir(), "GIT_CONFIG_NOSYSTEM=1")
}

// repository has one commit of train.py.
func repository(t *testing.T) (dir, commit string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	git(t, dir, "init", "-q")
	put(t, filepath.Join(dir, "train.py"), "pass\n")
	put(t, filepath.Join(dir, "sub/.keep"), "")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "x")
	return dir, git(t, dir, "rev-parse", "HEAD")
}

func TestFindCommitTellsWhatIsCheckedOut(t *testing.T) {
	for name, c := range map[string]struct {
		change func(dir string)
		dirty  bool
	}{
		"clean":                 {func(string) {}, false},
		"a file that changed":   {func(dir string) { put(t, filepath.Join(dir, "train.py"), "evil\n") }, true},
		"a file that is staged": {func(dir string) { put(t, dir+"/x", "x"); git(t, dir, "add", "x") }, true},
		"a file that is gone":   {func(dir string) { _ = os.Remove(filepath.Join(dir, "train.py")) }, true},
		"an untracked file":     {func(dir string) { put(t, filepath.Join(dir, "sub/more.py"), "x") }, true},
		"an ignored file": {func(dir string) {
			put(t, filepath.Join(dir, ".git/info/exclude"), "*.bin\n")
			put(t, dir+"/a.bin", "x")
		}, false},
		"an input apart":         {func(dir string) { put(t, filepath.Join(dir, "corpus/a"), "x") }, false},
		"below an input apart":   {func(dir string) { put(t, filepath.Join(dir, "corpus/b/c"), "x") }, false},
		"beside an input apart":  {func(dir string) { put(t, filepath.Join(dir, "corpus2/a"), "x") }, true},
		"hidden by the user's":   {func(dir string) { git(t, dir, "config", "status.showUntrackedFiles", "no"); put(t, dir+"/x", "x") }, true},
		"a name with a line end": {func(dir string) { put(t, filepath.Join(dir, "a\n# branch.oid x"), "x") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, commit := repository(t)
			c.change(dir)
			got, err := host.FindCommit(t.Context(), filepath.Join(dir, "sub"), environ(t), []string{filepath.Join(dir, "corpus")})
			if err != nil {
				t.Fatal(err)
			}
			if want := (host.Commit{Hash: commit, Dirty: c.dirty, Top: dir}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

func TestFindCommitNamesTheRemoteWithoutSecrets(t *testing.T) {
	dir, _ := repository(t)
	for remote, want := range map[string]string{
		"https://git.example.com/acme/train.git":             "https://git.example.com/acme/train.git",
		"https://ci:t0ken@git.example.com/acme/train?key=v#": "https://git.example.com/acme/train",
		"git@git.example.com:acme/train.git":                 "ssh://git.example.com/acme/train.git",
		"ssh://git@git.example.com:2222/acme/train":          "ssh://git.example.com:2222/acme/train",
		"/srv/git/train.git":                                 "",
		"../train":                                           "",
	} {
		git(t, dir, "config", "remote.origin.url", remote)
		got, err := host.FindCommit(t.Context(), dir, environ(t), nil)
		if err != nil || got.Remote != want {
			t.Errorf("%s: %q, want %q: %v", remote, got.Remote, want, err)
		}
	}
}

func TestFindCommitErrsWithoutACommit(t *testing.T) {
	outside := t.TempDir()
	if _, err := host.FindCommit(t.Context(), outside, environ(t), nil); !errors.Is(err, host.ErrNoCommit) {
		t.Errorf("outside: %v", err)
	}
	empty := t.TempDir()
	git(t, empty, "init", "-q")
	if _, err := host.FindCommit(t.Context(), empty, environ(t), nil); !errors.Is(err, host.ErrNoCommit) {
		t.Errorf("without a commit: %v", err)
	}
	broken := t.TempDir()
	put(t, filepath.Join(broken, ".git"), "gitdir: nowhere\n")
	if _, err := host.FindCommit(t.Context(), broken, environ(t), nil); err == nil || errors.Is(err, host.ErrNoCommit) {
		t.Errorf("a repository that git refuses: %v", err)
	}
}

// TestFindCommitRunsNothingOfTheRepository has a configuration that names programs.
func TestFindCommitRunsNothingOfTheRepository(t *testing.T) {
	dir, commit := repository(t)
	mark := filepath.Join(t.TempDir(), "ran")
	script := filepath.Join(t.TempDir(), "evil")
	put(t, script, "#!/bin/sh\ntouch "+mark+"\n")
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, ".git/hooks/post-index-change"), "#!/bin/sh\ntouch "+mark+"\n")
	if err := os.Chmod(filepath.Join(dir, ".git/hooks/post-index-change"), 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "config", "core.fsmonitor", script)
	put(t, filepath.Join(dir, "train.py"), "pass\n") // another time, so that the index would be written anew
	other, _ := repository(t)
	git(t, other, "commit", "-q", "--allow-empty", "-m", "another")
	got, err := host.FindCommit(t.Context(), dir, append(environ(t), "GIT_DIR="+filepath.Join(other, ".git")), nil)
	if err != nil || got.Hash != commit || got.Dirty {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program of the repository's ran")
	}
	c := exec.Command("git", "status") // which would
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Error("the configuration names nothing that git runs: this test shows nothing")
	}
}

func TestFindReadsLockFilesAndPackages(t *testing.T) {
	dir, venv := t.TempDir(), t.TempDir()
	put(t, filepath.Join(dir, "requirements.txt"), "torch==2.9.0\n")
	put(t, filepath.Join(dir, "uv.lock/not-a-file"), "")
	put(t, filepath.Join(dir, "notes.lock"), "")
	for _, name := range []string{"torch-2.9.0.dist-info", "Zlib_ng-1.0.dist-info", "pip", "broken.dist-info", "torch"} {
		put(t, filepath.Join(venv, "lib/python3.11/site-packages", name, "METADATA"), "")
	}
	f, err := host.Find(t.Context(), host.Options{Dir: dir, Environ: []string{"VIRTUAL_ENV=" + venv, "CUDA_VERSION=12.8"}})
	if err != nil {
		t.Fatal(err)
	}
	sum := hashing.NewStream()
	_, _ = sum.Write([]byte("torch==2.9.0\n"))
	if want := []host.File{{Name: "requirements.txt", SHA256: sum.Sum()}}; !slices.Equal(f.LockFiles, want) {
		t.Errorf("lock files %v", f.LockFiles)
	}
	if want := []string{"Zlib_ng==1.0", "torch==2.9.0"}; !slices.Equal(f.Packages, want) {
		t.Errorf("packages %q", f.Packages)
	}
	if f.Notes["python.torch"] != "2.9.0" || f.Notes["CUDA_VERSION"] != "12.8" || f.Notes["os"] == "" || f.Notes["python.zlib_ng"] != "" {
		t.Errorf("notes %q", f.Notes)
	}
	if f.Commit != nil || !errors.Is(f.CommitErr, host.ErrNoCommit) {
		t.Errorf("commit %v, %v", f.Commit, f.CommitErr)
	}
}

func TestFindTakesTheInterpretersOwnPackages(t *testing.T) {
	venv := t.TempDir()
	put(t, filepath.Join(venv, "lib/python3.12/site-packages/jax-0.5.dist-info/METADATA"), "")
	put(t, filepath.Join(venv, "bin/python3"), "")
	if err := os.Chmod(filepath.Join(venv, "bin/python3"), 0o755); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{filepath.Join(venv, "bin/python3"): "jax==0.5", filepath.Join(venv, "bin/sh"): ""} {
		f, err := host.Find(t.Context(), host.Options{Dir: t.TempDir(), Program: program})
		if err != nil || strings.Join(f.Packages, " ") != want {
			t.Errorf("%s: %q, %v", filepath.Base(program), f.Packages, err)
		}
	}
}

func TestFindNamesTheJob(t *testing.T) {
	for env, want := range map[string]string{
		"GITHUB_RUN_ID=7 GITHUB_SERVER_URL=https://github.com GITHUB_REPOSITORY=acme/train GITHUB_RUN_ATTEMPT=2": "https://github.com/acme/train/actions/runs/7/attempts/2",
		"GITHUB_RUN_ID=7": "",
		"CI_JOB_URL=https://gitlab.example.com/acme/train/-/jobs/9":                        "https://gitlab.example.com/acme/train/-/jobs/9",
		"BUILDKITE_BUILD_URL=https://buildkite.com/acme/train/builds/3 BUILDKITE_JOB_ID=a": "https://buildkite.com/acme/train/builds/3#a",
		"": "",
	} {
		f, err := host.Find(t.Context(), host.Options{Dir: t.TempDir(), Environ: strings.Fields(env)})
		if err != nil || f.Invocation != want {
			t.Errorf("%s: %q, %v", env, f.Invocation, err)
		}
	}
}
