package attestations_test

import (
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
)

func TestParseDigestReadsWhatStringWrites(t *testing.T) {
	long, short := strings.Repeat("0a", 32), strings.Repeat("0a", 20)
	for _, d := range []attestations.Digest{
		{Class: attestations.ClassArtifact, Hex: long}, {Class: attestations.ClassFile, Hex: long},
		{Class: attestations.ClassGitCommit, Hex: short}, {Class: attestations.ClassGitCommit, Hex: long},
	} {
		if got, err := attestations.ParseDigest(d.Class, d.String()); err != nil || got != d {
			t.Errorf("%s: %v, %v", d, got, err)
		}
	}
	for _, c := range []struct {
		class attestations.DigestClass
		s     string
	}{
		{attestations.ClassArtifact, "gitCommit:" + short}, {attestations.ClassArtifact, "sha256:" + short}, {attestations.ClassFile, long},
		{attestations.ClassArtifact, "sha256:" + strings.ToUpper(long)}, {attestations.ClassGitCommit, "sha256:" + long}, {"", "sha256:" + long},
		{"image", "sha256:" + long}, {attestations.ClassArtifact, ""}, {attestations.ClassArtifact, "sha256:" + long + " "},
	} {
		if got, err := attestations.ParseDigest(c.class, c.s); err == nil {
			t.Errorf("%q of class %q is %v", c.s, c.class, got)
		}
	}
}
