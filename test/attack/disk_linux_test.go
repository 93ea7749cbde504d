package attack

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// temporary is how the names of files begin that are being written.
const temporary = ".hallmark-partial-"

// TestFullDiskLeavesTheOldSignature signs again on a file system that has no room left.
func TestFullDiskLeavesTheOldSignature(t *testing.T) {
	d := newDesk(t, small())
	full := filepath.Join(filepath.Dir(d.dir), "full")
	if err := os.Mkdir(full, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", full, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("this user cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(full, 0) })
	d.dir = filepath.Join(full, "chat")
	d.fill(t, small())
	d.signArtifact(t).mustExit(t, exitYes)
	d.verifyArtifact(t).mustExit(t, exitYes)
	before := d.evidence(t)
	filler := filepath.Join(full, "filler")
	fillUp(t, filler)

	d.mustLeave(t, func() {
		r := d.signArtifact(t).mustExit(t, exitUnknown)
		if !strings.Contains(r.stderr, "no space left") {
			t.Errorf("the message does not say why: %s", r.stderr)
		}
	})
	if after := d.evidence(t); !slices.EqualFunc(before, after, bytes.Equal) {
		t.Error("the full disk changed the evidence")
	}
	d.verifyArtifact(t).mustExit(t, exitYes)
	if r := run(t, "keygen", filepath.Join(full, "new")); r.code == exitYes {
		t.Error("a key pair was made on a full disk")
	}
	for _, name := range []string{"new.key", "new.pub"} {
		if _, err := os.Lstat(filepath.Join(full, name)); err == nil {
			t.Errorf("%s was left behind", name)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	d.signArtifact(t).mustExit(t, exitYes)
	d.verifyArtifact(t).mustExit(t, exitYes)
}

// fillUp writes until nothing more goes in.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 4096; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// evidence is the content of the two evidence files; nil for one that is not there.
func (d *desk) evidence(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	for _, name := range []string{"model.sig", "claims.sig"} {
		raw, err := os.ReadFile(filepath.Join(d.dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		all = append(all, raw)
	}
	return all
}

// TestFileSizeLimitIsAnErrorLikeAnyOther runs under a limit on the size of files, as batch systems set it. Its signal
// must not end the process in the middle, and nothing half written may stay.
func TestFileSizeLimitIsAnErrorLikeAnyOther(t *testing.T) {
	d := newDesk(t, small())
	sign := func(blocks int) ran {
		return finish(t, limited(t, command(t, "sign", d.dir, "--private-key", d.private), "-f", blocks))
	}
	sign(1000).mustExit(t, exitYes)
	d.unsign(t)
	d.mustLeave(t, func() { sign(1).mustExit(t, exitUnknown) })
}

// TestResultThatNobodyCouldReadIsNotAYes prints to a device that is always full.
func TestResultThatNobodyCouldReadIsNotAYes(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("there is no device that is always full: %v", err)
	}
	defer full.Close()
	d := newDesk(t, small())
	d.signArtifact(t).mustExit(t, exitYes)
	for _, flags := range [][]string{{}, {"--json"}, {"--quiet"}} {
		args := append([]string{"verify", d.dir, "--public-key", d.public}, flags...)
		run(t, args...).mustExit(t, exitYes)
		c := command(t, args...)
		c.Stdout = full
		finish(t, c).mustExit(t, exitUnknown)
	}
}

// TestKilledWhileSigningLeavesOldOrNew kills the binary at points all over its run. Whatever it was about, the signature
// is the old one or a new one, whole; and the next run is not troubled by what was left.
func TestKilledWhileSigningLeavesOldOrNew(t *testing.T) {
	const kills = 40
	d := newDesk(t, small())
	began := time.Now()
	d.signArtifact(t).mustExit(t, exitYes)
	whole := time.Since(began)
	d.verifyArtifact(t).mustExit(t, exitYes)
	for i := range kills {
		if i%2 == 0 { // every other time there is no old one
			d.unsign(t)
		}
		c := command(t, "sign", d.dir, "--private-key", d.private)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(whole*time.Duration(i)/kills, func() { _ = c.Process.Kill() })
		_ = c.Wait()
		timer.Stop()
		evidence := d.evidence(t)
		if raw := evidence[0]; raw != nil {
			mustHold(t, d.verify(t, chain.FilesOptions{IgnorePaths: []string{temporary + "model.sig", temporary + "claims.sig"}}, raw))
		}
		for line := range bytes.Lines(evidence[1]) {
			if _, err := attestations.Open(bytes.TrimSpace(line), d.roots); err != nil {
				t.Fatalf("kill %d left half a claim: %v", i, err)
			}
		}
	}
	d.signArtifact(t).mustExit(t, exitYes)
	d.verifyArtifact(t).mustExit(t, exitYes)
	mustHaveNothingTemporary(t, d)
}

func (d *desk) unsign(t *testing.T) {
	t.Helper()
	for _, name := range []string{"model.sig", "claims.sig"} {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func mustHaveNothingTemporary(t *testing.T, d *desk) {
	t.Helper()
	for _, name := range d.tree(t) {
		if strings.HasPrefix(name, temporary) {
			t.Errorf("%q was left behind", name)
		}
	}
}

// TestLeftoverOfAKilledWriterIsNotSigned: what a killed writer left must not become content of the artifact, only to be
// removed by the very run that signed it.
func TestLeftoverOfAKilledWriterIsNotSigned(t *testing.T) {
	for _, name := range []string{temporary + "model.sig", temporary + "claims.sig"} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, small())
			d.signArtifact(t).mustExit(t, exitYes)
			d.verifyArtifact(t).mustExit(t, exitYes)
			d.unsign(t)
			write(t, filepath.Join(d.dir, name), `{"mediaType":`)
			d.signArtifact(t).mustExit(t, exitYes)
			d.verifyArtifact(t).mustExit(t, exitYes).mustBecause(t)
			mustHaveNothingTemporary(t, d)
		})
	}
}

// TestLargeEvidenceFilesAreRefused has evidence beyond its caps on disk, sparse where its content does not matter.
func TestLargeEvidenceFilesAreRefused(t *testing.T) {
	padded := func(b []byte, size int) []byte {
		return append(bytes.TrimSpace(b), append(bytes.Repeat([]byte(" "), size-len(b)), '\n')...)
	}
	for name, c := range map[string]struct {
		file string
		size int64 // sparse
		line int   // bytes of a claims file's one line
	}{
		"signature of 65 MB":       {"model.sig", 65 << 20, 0},
		"signature of 500 MB":      {"model.sig", 500 << 20, 0},
		"signature of 1 TB":        {"model.sig", 1 << 40, 0},
		"claims of 500 MB":         {"claims.sig", 500 << 20, 0},
		"claims of 1 TB":           {"claims.sig", 1 << 40, 0},
		"claim in a line of 9 MB":  {"claims.sig", 0, 9 << 20},
		"claim in a line of 65 MB": {"claims.sig", 0, 65 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, small())
			d.signArtifact(t).mustExit(t, exitYes)
			d.verifyArtifact(t).mustExit(t, exitYes)
			path := filepath.Join(d.dir, c.file)
			if c.line > 0 {
				claim := d.evidence(t)[1]
				if err := os.WriteFile(path, padded(claim, 1<<20), 0o644); err != nil {
					t.Fatal(err)
				}
				d.verifyArtifact(t).mustExit(t, exitYes) // a long line that is within the cap
				if err := os.WriteFile(path, padded(claim, c.line), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if err := os.Truncate(path, c.size); err != nil {
				t.Skipf("the file system has no large files: %v", err)
			}
			verify := withMemory(t, command(t, "verify", d.dir, "--json", "--public-key", d.public), 512<<20)
			finish(t, verify).mustExit(t, exitNo).mustBecause(t, policy.EvidenceMalformed)
			if r := d.signArtifact(t); r.code == exitYes {
				t.Error("signing went over it")
			}
		})
	}
}

// TestManySmallFilesTakeLittleMemory lists and hashes very many files; the sound half is a few.
func TestManySmallFilesTakeLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of files are made")
	}
	d := newDesk(t, small())
	d.signArtifact(t).mustExit(t, exitYes)
	verify := func() ran {
		return finish(t, withMemory(t, command(t, "verify", d.dir, "--json", "--public-key", d.public), 256<<20))
	}
	verify().mustExit(t, exitYes)
	for i := range 50 {
		folder := filepath.Join(d.dir, "f", strings.Repeat("a", i+1))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for j := range 100 {
			if err := os.WriteFile(filepath.Join(folder, string(rune('一'+j))), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	verify().mustExit(t, exitNo).mustBecause(t, policy.FileUnsigned)
}
