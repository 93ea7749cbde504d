package attack

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/test/lab"
)

// served is the scene with its base in a registry alone, where the policy lets evidence be fetched.
func served(t *testing.T, host string) *scene {
	t.Helper()
	s := newScene(t, time.Now())
	s.lay()
	run(t, "push", s.base.path, host+"/llm/base:v1", "--quiet").mustExit(t, exitYes)
	s.evidence = []string{s.data.path}
	s.from("oci://" + host + "/llm/base")
	s.replace("target: release", "sources: [{prefix: "+host+"/llm/}]\ntarget: release")
	return s
}

// from has the provenance of the release say where the base lies.
func (s *scene) from(uri string) {
	s.t.Helper()
	s.baseAt = uri
	s.instead(s.release, "trainer", s.made())
}

// nowhere are the reasons where nothing of the base was found.
var nowhere = because(policy.LinkUnattested, policy.NotPinned, policy.NoAlternative)

// malformedBase are the reasons where something else lies in the place of evidence on the base.
var malformedBase = append(because(policy.EvidenceMalformed), nowhere...)

// TestChainGoesNowhereThatThePolicyDoesNotList has statements lead to a host that the policy does not list, which hears
// nothing of it.
func TestChainGoesNowhereThatThePolicyDoesNotList(t *testing.T) {
	inner := lab.New(lab.Options{Referrers: true})
	proxy := lab.NewProxy(inner)
	host := lab.Serve(t, proxy)
	stranger := &lab.Recorder{Next: inner} // it would have everything that is looked for
	away := lab.Serve(t, stranger)
	s := served(t, host)
	proxy.Set()
	s.verify("--json").mustExit(t, exitYes).mustDecide(t)
	if len(proxy.Requests()) == 0 {
		t.Fatal("where the policy lets it go nobody was asked")
	}
	for name, uri := range map[string]string{
		"another host":                    "oci://" + away + "/llm/base",
		"another host by digest":          "oci://" + away + "/llm/base@" + s.base.id,
		"another host without a scheme":   away + ":/llm/base",
		"another host behind a user name": "oci://" + host + "@" + away + "/llm/base",
		"another host by HTTP":            "http://" + away + "/v2/llm/base/manifests/" + s.base.id,
		"another repository":              "oci://" + host + "/llmore/base",
		"a file":                          "file:" + s.base.path,
		"a layout":                        "oci:" + s.base.path,
	} {
		t.Run(name, func(t *testing.T) {
			proxy.Set()
			if _, err := attestations.NewStatement(attestations.Artifact{ID: s.release.id, Kind: s.release.kind}, withURI(s, uri)); err != nil {
				t.Skipf("nobody can state it: %v", err)
			}
			s := *s
			s.t, s.release = t, &piece{path: s.release.path, id: s.release.id, kind: s.release.kind, claims: slices.Clone(s.release.claims)}
			s.from(uri)
			s.verify("--json").mustExit(t, exitNo).mustDecide(t, nowhere...)
			if asked := append(stranger.Requests(), proxy.Requests()...); len(asked) > 0 {
				t.Errorf("asked %v", asked)
			}
		})
	}
	t.Run("a stranger's statement", func(t *testing.T) {
		proxy.Set()
		s := *s
		s.t, s.release = t, &piece{path: s.release.path, id: s.release.id, kind: s.release.kind, claims: slices.Clone(s.release.claims)}
		s.instead(s.release, "mary", s.made())
		s.verify("--json").mustExit(t, exitNo).mustDecide(t, policy.LinkUnattested)
		if asked := proxy.Requests(); len(asked) > 0 {
			t.Errorf("asked %v", asked)
		}
	})
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect} {
		t.Run(fmt.Sprintf("redirected by %d", status), func(t *testing.T) {
			proxy.Set(lab.Rule{Fault: lab.Redirected(status, "http://"+away)})
			if r := s.verify("--json"); r.code != exitUnknown || proxy.Struck() == 0 {
				t.Errorf("exit code %d after %d redirects\n%.500s", r.code, proxy.Struck(), r.stdout)
			}
			if asked := stranger.Requests(); len(asked) > 0 {
				t.Errorf("asked %v", asked)
			}
		})
	}
}

func withURI(s *scene, uri string) attestations.Provenance {
	return s.madeFrom(attestations.RoleBaseModel, func(d *attestations.Dependency) { d.URI = uri })
}

// TestChainDoesNotKnowWhatASourceThatFailedHas breaks each request that finding the base takes.
func TestChainDoesNotKnowWhatASourceThatFailedHas(t *testing.T) {
	t.Parallel()
	proxy := lab.NewProxy(lab.New(lab.Options{Referrers: true}))
	s := served(t, lab.Serve(t, proxy))
	for n := 1; ; n++ {
		proxy.Set(lab.Rule{Fault: lab.Status(http.StatusForbidden, ""), At: n, On: true})
		r := s.verify("--json")
		if proxy.Struck() == 0 {
			if n < 3 {
				t.Errorf("%d requests find a base and what is said of it", n-1)
			}
			r.mustExit(t, exitYes)
			break
		}
		if r.code != exitUnknown {
			t.Errorf("refused from request %d on: exit code %d\n%.900s", n, r.code, r.stdout)
		}
	}
	proxy.Set(lab.Rule{Fault: lab.Status(http.StatusInternalServerError, "")})
	s.verify("--json").mustExit(t, exitUnknown).mustDecide(t, append(nowhere[:len(nowhere):len(nowhere)], policy.Unreadable)...)
}

// TestChainDoesNotKnowWhatADamagedLayoutHas damages each file of a layout in turn.
func TestChainDoesNotKnowWhatADamagedLayoutHas(t *testing.T) {
	s := newScene(t, time.Now())
	s.lay()
	layout := filepath.Join(s.dir, "layout")
	run(t, "push", s.base.path, "oci:"+layout+":v1", "--quiet").mustExit(t, exitYes)
	s.evidence = []string{layout, s.data.path}
	s.command().mustExit(t, exitYes).mustDecide(t)
	needed := 0
	err := filepath.WalkDir(layout, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		sound, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		write(t, path, string(sound[:len(sound)/2]))
		r := s.command()
		switch {
		case r.code == exitUnknown:
			needed++
		case r.code == exitYes && slices.ContainsFunc([]string{"base weights", "{}", `{"descriptor":`, `{"imageLayoutVersion"`}, func(begin string) bool {
			return strings.HasPrefix(string(sound), begin)
		}): // of an input no file and no configuration is read
		default:
			t.Errorf("half of %s: exit code %d\n%.300s\n%.300s", path, r.code, sound, r.stdout)
		}
		write(t, path, string(sound))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if needed < 3 { // index, the artifact's manifest, a referrer or its bundle
		t.Errorf("%d files of a layout matter", needed)
	}
	s.command().mustExit(t, exitYes)
}

// TestChainTakesNothingElseForEvidence puts other things where evidence lies.
func TestChainTakesNothingElseForEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		put     func(t *testing.T, s *scene, at string)
		target  bool // it is put beside what is decided on; else beside its base
		reasons []policy.Reason
	}{
		"a link": {func(t *testing.T, s *scene, at string) {
			elsewhere := filepath.Join(s.dir, "elsewhere.sig")
			if err := os.Rename(at, elsewhere); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(elsewhere, at); err != nil {
				t.Fatal(err)
			}
		}, false, malformedBase},
		"a pipe": {func(t *testing.T, _ *scene, at string) {
			if err := os.Remove(at); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(at, 0o644); err != nil {
				t.Skip(err)
			}
		}, false, malformedBase},
		"a folder": {func(t *testing.T, _ *scene, at string) {
			if err := os.Remove(at); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(at, 0o755); err != nil {
				t.Fatal(err)
			}
		}, false, malformedBase},
		"a huge line":  {addLine(`{"mediaType":"` + strings.Repeat("x", attestations.MaxBundle) + `"}`), false, malformedBase},
		"an open line": {addLine(`{"mediaType":`), false, malformedBase},
		"no bundle":    {addLine(`hello`), false, malformedBase},
		"no bundle beside the release": {addLine(`hello`), true,
			because(policy.LinkUnattested, policy.EvidenceMissing, policy.EvidenceMalformed)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, time.Now())
			s.lay()
			s.command().mustExit(t, exitYes).mustDecide(t)
			p := s.base
			if c.target {
				p = s.release
			}
			c.put(t, s, filepath.Join(p.path, manifest.ClaimsName))
			s.asItLies("--json", "--offline").mustExit(t, exitNo).mustDecide(t, c.reasons...)
		})
	}
}

func addLine(line string) func(*testing.T, *scene, string) {
	return func(t *testing.T, _ *scene, at string) {
		before, err := os.ReadFile(at)
		if err != nil {
			t.Fatal(err)
		}
		write(t, at, string(before)+line+"\n")
	}
}

// TestChainOpensNoMoreThanItsCaps is held just below each cap, and beyond.
func TestChainOpensNoMoreThanItsCaps(t *testing.T) {
	bundles := func(n int) func(*scene) {
		return func(s *scene) {
			for i := range n - len(s.base.claims) {
				let := s.letIn()
				let.Upstream.Version = fmt.Sprint("v", i)
				s.says(s.base, "mary", let)
			}
		}
	}
	chained := func(n int) func(*scene) {
		return func(s *scene) {
			madeBase(s, false)
			s.drop(s.base, attestations.PredicateProvenance)
			var loose []attestations.Bundle
			at, p := s.ago(20*day), s.base
			for i := range n {
				next := &piece{id: "sha256:" + sum(fmt.Sprint("link ", i)), kind: attestations.KindModel}
				at = at.Add(-time.Hour)
				loose = append(loose, s.statement(p, "trainer", s.pruned(next, at)))
				p = next
			}
			loose = append(loose, s.statement(p, "data", s.letIn()))
			s.file(filepath.Join(s.dir, "loose.jsonl"), loose)
			s.evidence = []string{s.data.path, filepath.Join(s.dir, "loose.jsonl")}
		}
	}
	for _, c := range []struct {
		name          string
		below, beyond func(*scene)
		reasons       []policy.Reason
	}{
		{"bundles", bundles(chain.MaxBundles), bundles(chain.MaxBundles + 1), because(policy.CapReached)},
		{"links", chained(policy.MaxDepth - 1), chained(policy.MaxDepth), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, present)
			c.below(s)
			mustHold(t, s.decide())
			s = newScene(t, present)
			c.beyond(s)
			d := s.decide()
			if d.Verdict() != policy.Unknown || !slices.Contains(d.Reasons(), policy.CapReached) || c.reasons != nil && !slices.Equal(d.Reasons(), c.reasons) {
				t.Errorf("%s because of %v\n%s", d.Verdict(), d.Reasons(), details(d))
			}
		})
	}
}

// TestChainPrintsNothingThatATerminalObeys has escape codes and marks that turn text round wherever a statement has room
// for text.
func TestChainPrintsNothingThatATerminalObeys(t *testing.T) {
	const evil = "\x1b[2Jyes\n\u202e\u2066"
	const turning = "yes\u202e\u2066 x" // this much a name may hold
	row := func(p func(s *scene) *piece, by string, what func(s *scene) attestations.Predicate, old string) func(*scene) {
		return func(s *scene) {
			st, err := attestations.NewStatement(attestations.Artifact{ID: p(s).id, Kind: p(s).kind}, what(s))
			if err != nil {
				s.t.Fatal(err)
			}
			for _, text := range []string{evil, turning} {
				payload := replaceOnce(s.t, st.Payload(), `"`+old+`"`, string(encode(s.t, text)))
				p(s).claims = append(p(s).claims, s.seal(by, payload))
			}
		}
	}
	release := func(s *scene) *piece { return s.release }
	base := func(s *scene) *piece { return s.base }
	made := func(s *scene) attestations.Predicate { return s.made() }
	tested := func(s *scene) attestations.Predicate { return s.tested(day, "0.9") }
	for name, put := range map[string]func(*scene){
		"nothing":           nil,
		"an input's name":   row(release, "trainer", made, "corpus"),
		"an input's URI":    row(release, "trainer", made, "git+https://git.example/acme/train"),
		"a builder":         row(release, "trainer", made, "https://acme.example/builders/k8s-train"),
		"a role":            row(release, "trainer", made, "dataset.train"),
		"a test":            row(release, "red-team", tested, "pgd"),
		"a metric":          row(release, "red-team", tested, "robust_accuracy"),
		"an upstream":       row(base, "data", func(s *scene) attestations.Predicate { return s.letIn() }, "org/base"),
		"a scope":           row(release, "lead-1", func(s *scene) attestations.Predicate { return s.approved(day) }, "production"),
		"a verifier":        row(base, "data", func(s *scene) attestations.Predicate { return s.verified() }, "https://acme.example/verify"),
		"a stranger's name": row(release, "mary", made, "corpus"),
		"a reason": func(s *scene) {
			s.lists = nil
			st, err := attestations.NewRevocations(attestations.Revocations{Sequence: 5, Issued: s.ago(day), Expires: s.now.Add(day),
				Entries: []attestations.Revocation{{Digest: artifactDigest(s.release), Scope: attestations.ScopeSelf, Reason: "poisoned", Since: s.ago(day)}}})
			if err != nil {
				s.t.Fatal(err)
			}
			s.lists = append(s.lists, s.seal("data", replaceOnce(s.t, st.Payload(), `"poisoned"`, string(encode(s.t, turning)))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, time.Now())
			if put != nil {
				put(s)
			}
			for _, flags := range [][]string{nil, {"--format", "mermaid"}, {"--format", "dot"}, {"--format", "svg"}, {"--quiet"}} {
				r := s.verify(append(flags, "--offline")...)
				if put == nil {
					r.mustExit(t, exitYes)
				} else {
					mustNotSayYes(t, r)
				}
				mustPrint(t, fmt.Sprint("the output of ", flags), r.stdout)
				mustPrint(t, fmt.Sprint("the error of ", flags), r.stderr)
			}
		})
	}
}
