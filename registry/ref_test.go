package registry

import (
	"strings"
	"testing"
)

const someDigest = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

func TestParseRefReadsItsForms(t *testing.T) {
	for _, s := range []string{
		"registry.example/llm/chat:prod", "localhost/a:b", "127.0.0.1:5000/a:b", "[::1]:5000/a:b", "registry.example:443/a/b__c/d-e:V1.0",
		"registry.example/a@" + someDigest, "registry.example/a:prod@" + someDigest,
		"registry.example/chat:" + strings.Repeat("v", 128),
		"oci:dir", "oci:./dir", "oci:/abs/dir:v1", "oci:dir:v1", "oci:dir@" + someDigest, "oci:a@b/c:v1@" + someDigest, "oci:..",
	} {
		r, err := ParseRef(s)
		if err != nil {
			t.Error(err)
			continue
		}
		if r.String() != s {
			t.Errorf("%q comes out as %q", s, r)
		}
		if want := r.Name() + "@" + someDigest; r.Pinned(someDigest) != want || strings.Contains(want, "prod") {
			t.Errorf("%q is pinned as %q", s, r.Pinned(someDigest))
		}
		if (r.Layout() == "") == (r.Host() == "") {
			t.Errorf("%q is in layout %q and on host %q", s, r.Layout(), r.Host())
		}
	}
}

func TestParseRefGuessesNothing(t *testing.T) {
	for _, s := range []string{
		"", "chat", "chat:v1", "llm/chat:v1", "registry.example/chat", "registry.example:v1", "registry.example/", "registry.example/:v1",
		"registry.example/chat:", "registry.example/chat@", "registry.example/chat@sha256:abc", "registry.example/chat@" + strings.ToUpper(someDigest),
		"registry.example/chat@sha512:" + strings.Repeat("0", 128), "registry.example/chat:-v", "registry.example/chat:.v", "registry.example/chat:" + strings.Repeat("v", 129),
		"registry.example/../chat:v1", "registry.example/a//b:v1", "registry.example/a/./b:v1", "registry.example/Chat:v1", "registry.example/a/b/:v1", "registry.example/a?b:v1",
		"https://registry.example/chat:v1", "user@registry.example/chat:v1", "user:pass@registry.example/chat:v1", "registry.example/chat:v1\n",
		"registry.exa mple/chat:v1", "oci:", "oci:@" + someDigest, "oci::v1", "oci:dir:v 1", "oci:dir:", "oci:" + strings.Repeat("d", 5000),
	} {
		if r, err := ParseRef(s); err == nil {
			t.Errorf("%q is read as %q", s, r)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add("registry.example/llm/chat:prod@" + someDigest)
	f.Add("oci:a@b/c:v1@" + someDigest)
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			return
		}
		again, err := ParseRef(r.String())
		if err != nil || again != r {
			t.Errorf("%q is %q, which is read as %+v (%v)", s, r, again, err)
		}
		if strings.Contains(r.repository, "..") || (r.dir == "" && r.tag == "" && r.digest == "") {
			t.Errorf("%q is read as %+v", s, r)
		}
	})
}
