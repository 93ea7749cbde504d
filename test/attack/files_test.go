package attack

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// intruders are things that no artifact may have, put into one that was signed.
var intruders = map[string]func(dir string) error{
	"link to a file inside":   func(dir string) error { return os.Symlink("weights.bin", filepath.Join(dir, "link")) },
	"link to a folder inside": func(dir string) error { return os.Symlink("sub", filepath.Join(dir, "link")) },
	"link out of the tree":    func(dir string) error { return os.Symlink("../keys/trainer.key", filepath.Join(dir, "link")) },
	"absolute link":           func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "link")) },
	"dangling link":           func(dir string) error { return os.Symlink("nowhere", filepath.Join(dir, "link")) },
	"link to itself":          func(dir string) error { return os.Symlink("link", filepath.Join(dir, "link")) },
	"link to its own folder":  func(dir string) error { return os.Symlink("..", filepath.Join(dir, "sub/link")) },
	"link in the place of a file": func(dir string) error {
		path := filepath.Join(dir, "weights.bin")
		return errors.Join(os.Rename(path, filepath.Join(dir, "../weights.bin")), os.Symlink("../weights.bin", path))
	},
	"pipe":   func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "sub/pipe"), 0o644) },
	"socket": func(dir string) error { return socket(filepath.Join(dir, "s")) },
	"device": func(dir string) error {
		return syscall.Mknod(filepath.Join(dir, "zero"), syscall.S_IFCHR|0o666, 1<<8|5)
	},
	"name that is not UTF-8": func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "caf\xe9.bin"), nil, 0o644)
	},
}

// socket leaves a socket of no listener.
func socket(path string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	return l.Close()
}

// put takes one intruder in, or skips the case where the machine does not let it.
func put(t *testing.T, intruder func(string) error, dir string) {
	t.Helper()
	err := intruder(dir)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EILSEQ) {
		t.Skipf("this user or file system cannot make it: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestIntruderInASignedArtifactIsRefused(t *testing.T) {
	for name, intruder := range intruders {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, small())
			d.signArtifact(t).mustExit(t, exitYes)
			d.verifyArtifact(t).mustExit(t, exitYes).mustBecause(t)
			put(t, intruder, d.dir)
			reasons := because(policy.FileRefused)
			if name == "link in the place of a file" {
				reasons = because(policy.FileMissing, policy.FileRefused)
			}
			before, err := os.ReadFile(filepath.Join(d.dir, "model.sig"))
			if err != nil {
				t.Fatal(err)
			}
			d.mustLeave(t, func() {
				d.verifyArtifact(t).mustExit(t, exitNo).mustBecause(t, reasons...)
				run(t, "digest", d.dir).mustExit(t, exitNo)
				d.signArtifact(t).mustExit(t, exitNo)
			})
			if after, err := os.ReadFile(filepath.Join(d.dir, "model.sig")); err != nil || string(after) != string(before) {
				t.Errorf("a refused signing changed the signature: %v", err)
			}
		})
	}
}

// TestLinksAreFollowedOnlyInside signs with links allowed: those that stay inside hold, the others are refused still.
func TestLinksAreFollowedOnlyInside(t *testing.T) {
	follows := []string{"link to a file inside", "link to a folder inside"}
	for name, intruder := range intruders {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, small())
			d.signArtifact(t, "--allow-symlinks").mustExit(t, exitYes)
			d.verifyArtifact(t).mustExit(t, exitYes)
			put(t, intruder, d.dir)
			if slices.Contains(follows, name) {
				d.verifyArtifact(t).mustExit(t, exitNo).mustBecause(t, policy.FileUnsigned)
				d.signArtifact(t, "--allow-symlinks").mustExit(t, exitYes)
				d.verifyArtifact(t).mustExit(t, exitYes).mustBecause(t)
				return
			}
			d.mustLeave(t, func() {
				run(t, "digest", "--allow-symlinks", d.dir).mustExit(t, exitNo)
				d.signArtifact(t, "--allow-symlinks").mustExit(t, exitNo)
				d.verifyArtifact(t).mustExit(t, exitNo)
			})
		})
	}
}

// TestLinkTargetIsHashedUnderItsLink changes where a signed link leads to, and what it leads to.
func TestLinkTargetIsHashedUnderItsLink(t *testing.T) {
	d := newDesk(t, map[string]string{"v1.bin": "one", "v2.bin": "two"})
	link := filepath.Join(d.dir, "latest.bin")
	if err := os.Symlink("v1.bin", link); err != nil {
		t.Fatal(err)
	}
	d.signArtifact(t, "--allow-symlinks").mustExit(t, exitYes)
	d.verifyArtifact(t).mustExit(t, exitYes)
	if err := errors.Join(os.Remove(link), os.Symlink("v2.bin", link)); err != nil {
		t.Fatal(err)
	}
	d.verifyArtifact(t).mustExit(t, exitNo).mustBecause(t, policy.DigestMismatch)
}

// TestLinkedFoldersDoNotMultiply has folders of links to each other: without a bound, two to the power of their depth.
func TestLinkedFoldersDoNotMultiply(t *testing.T) {
	if testing.Short() {
		t.Skip("a million paths are walked")
	}
	d := newDesk(t, small())
	digest := func() ran {
		return finish(t, withMemory(t, command(t, "digest", "--allow-symlinks", d.dir), 1<<30))
	}
	digest().mustExit(t, exitYes)
	const depth = 24
	for i := range depth {
		level := filepath.Join(d.dir, "f"+strings.Repeat("x", i))
		next := "../f" + strings.Repeat("x", i+1)
		if err := errors.Join(os.Mkdir(level, 0o755), os.Symlink(next, filepath.Join(level, "a")), os.Symlink(next, filepath.Join(level, "b"))); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(d.dir, "f"+strings.Repeat("x", depth), "end"), "")
	if r := digest(); r.code != exitNo && r.code != exitUnknown {
		t.Errorf("exit code %d for sixteen million paths to one file", r.code)
	}
}

// TestRootThatIsNoArtifactIsRefused names something else than a file or folder.
func TestRootThatIsNoArtifactIsRefused(t *testing.T) {
	d := newDesk(t, small())
	d.signArtifact(t).mustExit(t, exitYes)
	pipe, empty, hollow := filepath.Join(d.dir, "../pipe"), filepath.Join(d.dir, "../empty"), filepath.Join(d.dir, "../hollow")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o644), os.Mkdir(empty, 0o755), os.MkdirAll(filepath.Join(hollow, ".git/a"), 0o755)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(hollow, ".git/config"), "x")
	for name, path := range map[string]string{"pipe": pipe, "empty": empty, "nothing but what is left out": hollow, "device": "/dev/zero"} {
		t.Run(name, func(t *testing.T) {
			run(t, "digest", d.dir).mustExit(t, exitYes)
			run(t, "digest", path).mustExit(t, exitNo)
			run(t, "sign", path, "--private-key", d.private).mustExit(t, exitNo)
			if r := run(t, "verify", path, "--public-key", d.public); r.code != exitNo && r.code != exitUnknown {
				t.Errorf("verify: exit code %d", r.code)
			}
		})
	}
	run(t, "digest", filepath.Join(d.dir, "missing")).mustExit(t, exitUnknown)
	link := filepath.Join(d.dir, "../link")
	if err := os.Symlink(d.dir, link); err != nil {
		t.Fatal(err)
	}
	run(t, "verify", link, "--public-key", d.public).mustExit(t, exitYes) // a link to the root is followed
}

// TestReservedNameThatHoldsSomethingElseIsRefused puts other things where evidence belongs.
func TestReservedNameThatHoldsSomethingElseIsRefused(t *testing.T) {
	content := func(text string) func(path string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o644) }
	}
	things := map[string]func(path string) error{
		"text":              content("hello"),
		"code":              content("#!/bin/sh\nrm -rf /\n"),
		"empty JSON":        content("{}"),
		"another JSON":      content(`{"mediaType":"application/json"}`),
		"two objects":       content(`{"mediaType":"` + attestations.BundleMediaType + `"}{}`),
		"a bundle and text": content(`{"mediaType":"` + attestations.BundleMediaType + `"}` + "\nhello"),
		"double members":    content(`{"mediaType":"` + attestations.BundleMediaType + `","mediaType":"` + attestations.BundleMediaType + `"}`),
		"white space":       content(" \n\n"),
		"zero bytes":        content(strings.Repeat("\x00", 100)),
		"a folder":          func(path string) error { return os.Mkdir(path, 0o755) },
		"a folder of things": func(path string) error {
			return errors.Join(os.Mkdir(path, 0o755), content("x")(filepath.Join(path, "evil.py")))
		},
		"a link to it": func(path string) error {
			return errors.Join(os.Rename(filepath.Join(filepath.Dir(path), "../aside"), path+"x"), os.Symlink(filepath.Base(path)+"x", path))
		},
		"a dangling link": func(path string) error { return os.Symlink("nowhere", path) },
		"a pipe":          func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"a socket":        socket,
	}
	for _, reserved := range []string{"model.sig", "claims.sig"} {
		for name, thing := range things {
			t.Run(reserved+" "+name, func(t *testing.T) {
				d := newDesk(t, small())
				d.signArtifact(t).mustExit(t, exitYes)
				d.verifyArtifact(t).mustExit(t, exitYes)
				path := filepath.Join(d.dir, reserved)
				if err := os.Rename(path, filepath.Join(d.dir, "../aside")); err != nil {
					t.Fatal(err)
				}
				put(t, thing, path)
				d.mustLeave(t, func() {
					d.verifyArtifact(t).mustExit(t, exitNo).mustBecause(t, policy.EvidenceMalformed)
					if r := run(t, "inspect", d.dir); r.code == exitYes {
						t.Errorf("inspect has no objection:\n%s", r.stdout)
					}
					if r := d.signArtifact(t); r.code == exitYes {
						t.Errorf("signing went over it:\n%s", r.stdout)
					}
				})
			})
		}
	}
}

// TestSigningOverSomethingElseIsANo: that a reserved name holds something else was read and refused; it is not unknown.
func TestSigningOverSomethingElseIsANo(t *testing.T) {
	for _, reserved := range []string{"model.sig", "claims.sig"} {
		t.Run(reserved, func(t *testing.T) {
			d := newDesk(t, small())
			d.signArtifact(t).mustExit(t, exitYes)
			write(t, filepath.Join(d.dir, reserved), "hello")
			d.mustLeave(t, func() { d.signArtifact(t).mustExit(t, exitNo) })
		})
	}
}

// TestEvidenceNamesFurtherInAreContent: the two names are reserved at the top alone, so nothing can hide below.
func TestEvidenceNamesFurtherInAreContent(t *testing.T) {
	for _, name := range []string{"sub/model.sig", "sub/claims.sig", "MODEL.SIG", "model.sig.bak", "model.sig/../x.sig", ".model.sig", "sub/.git/config"} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, small())
			d.signArtifact(t).mustExit(t, exitYes)
			d.verifyArtifact(t).mustExit(t, exitYes)
			write(t, filepath.Join(d.dir, name), "import os")
			d.verifyArtifact(t).mustExit(t, exitNo).mustBecause(t, policy.FileUnsigned)
		})
	}
}

// TestFilesThatAreLeftOutAreNamed: OMS leaves .git and the like out; ours names what is there.
func TestFilesThatAreLeftOutAreNamed(t *testing.T) {
	d := newDesk(t, small())
	d.signArtifact(t).mustExit(t, exitYes)
	if r := d.verifyArtifact(t).mustExit(t, exitYes); strings.Contains(r.stdout, "uncovered") {
		t.Errorf("nothing is left out, and yet:\n%s", r.stdout)
	}
	write(t, filepath.Join(d.dir, ".git/hooks/evil.py"), "import os")
	if err := syscall.Mkfifo(filepath.Join(d.dir, ".git/pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := d.verifyArtifact(t)
	if !strings.Contains(r.stdout, ".git/hooks/evil.py") || !strings.Contains(r.stdout, ".git/pipe") {
		t.Errorf("exit code %d, and what is left out is not named:\n%s", r.code, r.stdout)
	}
}

// TestUnreadableIsADontKnow takes permissions away. The superuser does without them, so the binary runs as nobody then.
func TestUnreadableIsADontKnow(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		mode os.FileMode
	}{
		"a file":          {"weights.bin", 0},
		"a file in sub":   {"sub/adapter.bin", 0o200},
		"a folder":        {"sub", 0},
		"a folder's list": {"sub", 0o111},
		"the top":         {".", 0o111},
		"its signature":   {"model.sig", 0},
		"its claims":      {"claims.sig", 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, small())
			d.signArtifact(t).mustExit(t, exitYes)
			asNobody(t, d, "verify", d.dir, "--json", "--public-key", d.public).mustExit(t, exitYes)
			path := filepath.Join(d.dir, c.path)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(path, info.Mode()) })
			asNobody(t, d, "verify", d.dir, "--json", "--public-key", d.public).mustExit(t, exitUnknown).mustBecause(t, policy.Unreadable)
		})
	}
}

// asNobody runs the binary without the superuser's rights.
func asNobody(t *testing.T, d *desk, args ...string) ran {
	t.Helper()
	c := command(t, args...)
	if os.Geteuid() == 0 {
		const nobody = 65534
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		for dir := filepath.Dir(d.dir); strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	return finish(t, c)
}

// TestSparseFileIsHashedInLittleMemory has 20 GB that take no room on disk. When the binary has told of its progress for
// the first time, it is interrupted, and ends at once.
func TestSparseFileIsHashedInLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("gigabytes are hashed")
	}
	d := newDesk(t, small())
	const memory = 192 << 20
	finish(t, withMemory(t, command(t, "digest", d.dir), memory)).mustExit(t, exitYes)
	path := filepath.Join(d.dir, "sparse.bin")
	write(t, path, "")
	if err := os.Truncate(path, 20_000_000_000); err != nil {
		t.Skipf("the file system has no large files: %v", err)
	}
	c := withMemory(t, command(t, "digest", d.dir), memory)
	stderr := &interrupting{process: func() *os.Process { return c.Process }, at: "hashed"}
	c.Stderr = stderr
	r := finish(t, c)
	mustNotPanic(t, c, ran{code: r.code, stderr: stderr.text.String()})
	if r.code != exitInterrupted && r.code != exitYes { // a very fast machine is through before it tells
		t.Errorf("exit code %d, want %d\n%s", r.code, exitInterrupted, stderr.text.String())
	}
	if strings.Contains(r.stdout, "sha256:") && r.code != exitYes {
		t.Errorf("interrupted, and yet it named the artifact:\n%s", r.stdout)
	}
}

// interrupting takes what a process writes and interrupts it at a word.
type interrupting struct {
	process func() *os.Process
	at      string
	text    strings.Builder
}

func (i *interrupting) Write(p []byte) (int, error) {
	i.text.Write(p)
	if strings.Contains(i.text.String(), i.at) {
		_ = i.process().Signal(os.Interrupt)
	}
	return len(p), nil
}
