package attestations_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
)

// hexOf returns 64 hex digits that begin with n.
func hexOf(n int) string { return fmt.Sprintf("%064x", n+0xa000) }

var (
	chat    = attestations.Artifact{ID: "sha256:" + hexOf(1), Name: "chat", Kind: attestations.KindModel}
	began   = time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)
	ended   = began.Add(90 * time.Minute)
	aBundle = "sha256:" + hexOf(900)
)

func input(role attestations.Role, n int) attestations.Dependency {
	d := attestations.Dependency{
		Name: fmt.Sprintf("%s-%d", role, n), Role: role, URI: attestations.LocalURI(fmt.Sprint(n)),
		Digest: attestations.Digest{Class: attestations.ClassArtifact, Hex: hexOf(n + 10)},
	}
	if role == attestations.RoleSource {
		d.URI, d.Digest = "git+https://git.example/train", attestations.Digest{Class: attestations.ClassGitCommit, Hex: hexOf(n)[24:]}
	}
	return d
}

func provenance(b attestations.BuildType, inputs ...attestations.Role) attestations.Provenance {
	var p attestations.Provenance
	p.BuildDefinition.BuildType = b
	for n, r := range inputs {
		p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies, input(r, n))
	}
	p.RunDetails.Builder.ID = "https://builder.example/trainer"
	p.RunDetails.Metadata.StartedOn, p.RunDetails.Metadata.FinishedOn = began, ended
	return p
}

func finetuned() attestations.Provenance {
	return provenance(attestations.BuildFinetune, attestations.RoleSource, attestations.RoleBaseModel, attestations.RoleDatasetTrain)
}

// least is the least that each build type needs.
var least = map[attestations.BuildType][]attestations.Role{
	attestations.BuildTrain:          {attestations.RoleSource, attestations.RoleDatasetTrain},
	attestations.BuildFinetune:       {attestations.RoleSource, attestations.RoleBaseModel, attestations.RoleDatasetPreference},
	attestations.BuildAdapter:        {attestations.RoleSource, attestations.RoleBaseModel, attestations.RoleDatasetTrain},
	attestations.BuildMerge:          {attestations.RoleMergeParent, attestations.RoleMergeParent},
	attestations.BuildDistill:        {attestations.RoleSource, attestations.RoleTeacher, attestations.RoleDatasetTrain},
	attestations.BuildQuantize:       {attestations.RoleBaseModel},
	attestations.BuildPrune:          {attestations.RoleBaseModel},
	attestations.BuildConvert:        {attestations.RoleBaseModel},
	attestations.BuildPackage:        {attestations.RoleDatasetTrain},
	attestations.BuildDatasetPrepare: {attestations.RoleSource, attestations.RoleDatasetTrain},
}

func TestProvenanceNeedsTheInputsOfItsBuildType(t *testing.T) {
	if len(least) != len(attestations.BuildTypes()) {
		t.Fatalf("%d build types are tested, of %d", len(least), len(attestations.BuildTypes()))
	}
	for b, roles := range least {
		t.Run(b.Short(), func(t *testing.T) {
			on := chat
			on.Kind = b.Kinds()[0]
			if _, err := attestations.NewStatement(on, provenance(b, roles...)); err != nil {
				t.Errorf("the least that it needs: %v", err)
			}
			for i := range roles {
				if _, err := attestations.NewStatement(on, provenance(b, slices.Delete(slices.Clone(roles), i, i+1)...)); err == nil {
					t.Errorf("it is made without %s", roles[i])
				}
			}
			for _, n := range b.Needs() {
				if n.Max == attestations.Many {
					continue
				}
				most := slices.DeleteFunc(slices.Clone(roles), func(r attestations.Role) bool { return r == n.Role })
				most = append(most, slices.Repeat([]attestations.Role{n.Role}, n.Max)...)
				if err := b.CheckInputs(most); err != nil {
					t.Errorf("%d of %s: %v", n.Max, n.Role, err)
				}
				if err := b.CheckInputs(append(most, n.Role)); err == nil {
					t.Errorf("%d of %s are taken", n.Max+1, n.Role)
				}
			}
			for _, r := range attestations.Roles() {
				listed := slices.ContainsFunc(b.Needs(), func(n attestations.Need) bool { return n.Role == r })
				if err := b.CheckInputs(append(slices.Clone(roles), r)); !listed && err == nil {
					t.Errorf("it takes %s, which it does not list", r)
				}
			}
			for _, k := range []attestations.Kind{attestations.KindModel, attestations.KindAdapter, attestations.KindDataset} {
				on.Kind = k
				if _, err := attestations.NewStatement(on, provenance(b, roles...)); (err == nil) != slices.Contains(b.Kinds(), k) {
					t.Errorf("makes a %s: %v", k, err)
				}
			}
			if back, err := attestations.ParseBuildType(b.Short()); back != b || err != nil {
				t.Errorf("%q is %q: %v", b.Short(), back, err)
			}
		})
	}
}

func TestProvenanceIsByteExactAndReadsAsItWasMade(t *testing.T) {
	p := finetuned()
	p.BuildDefinition.ExternalParameters = attestations.Parameters{
		Command: []string{"python", "train.py", "--token", "***"}, Seed: "18446744073709551617", Method: "dpo",
		Options: map[string]string{"lr": "1e-5", "batch": "8"},
	}
	p.BuildDefinition.ResolvedDependencies[0].Dirty = true
	p.BuildDefinition.InternalParameters.Facts = map[string]string{"torch": "2.9.0"}
	p.RunDetails.Byproducts = []attestations.Resource{{Name: "uv.lock", Digest: attestations.DigestSet{"sha256": hexOf(7)}}}
	p.RunDetails.Metadata.FinishedOn = ended.In(time.FixedZone("", 3600))
	st, err := attestations.NewStatement(chat, p)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"chat","digest":{"sha256":"` + hexOf(1) +
		`"},"annotations":{"io.github.hallmark-project.kind":"model"}}],"predicateType":"https://slsa.dev/provenance/v1",` +
		`"predicate":{"buildDefinition":{"buildType":"https://github.com/hallmark-project/hallmark/attestations/build/finetune/v1",` +
		`"externalParameters":{"command":["python","train.py","--token","***"],"method":"dpo","options":{"batch":"8","lr":"1e-5"},` +
		`"seed":"18446744073709551617"},"internalParameters":{"facts":{"torch":"2.9.0"}},"resolvedDependencies":[` +
		`{"name":"source-0","uri":"git+https://git.example/train","digest":{"gitCommit":"` + hexOf(0)[24:] +
		`"},"annotations":{"io.github.hallmark-project.digest-class":"gitCommit","io.github.hallmark-project.dirty":true,"io.github.hallmark-project.role":"source"}},` +
		`{"name":"base-model-1","uri":"file:1","digest":{"sha256":"` + hexOf(11) +
		`"},"annotations":{"io.github.hallmark-project.digest-class":"artifact","io.github.hallmark-project.role":"base-model"}},` +
		`{"name":"dataset.train-2","uri":"file:2","digest":{"sha256":"` + hexOf(12) +
		`"},"annotations":{"io.github.hallmark-project.digest-class":"artifact","io.github.hallmark-project.role":"dataset.train"}}]},` +
		`"runDetails":{"builder":{"id":"https://builder.example/trainer"},"metadata":{"startedOn":"2026-11-20T14:03:00Z","finishedOn":"2026-11-20T15:33:00Z"},` +
		`"byproducts":[{"name":"uv.lock","digest":{"sha256":"` + hexOf(7) + `"}}]}}}`
	if string(st.Payload()) != want {
		t.Errorf("it is\n%s\nwant\n%s", st.Payload(), want)
	}
	_, a, err := attestations.Sign(ctx, st, newSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	back, on, err := attestations.Read[attestations.Provenance](a)
	if err != nil {
		t.Fatal(err)
	}
	again, err := attestations.NewStatement(on, back)
	if err != nil {
		t.Fatal(err)
	}
	if on != chat || !bytes.Equal(again.Payload(), st.Payload()) {
		t.Errorf("read about %+v, written again\n%s", on, again.Payload())
	}
	if _, err := attestations.ReadSignature(a); err == nil {
		t.Error("it counts as a signature on the artifact")
	}
}

func TestProvenanceRefusesWhatCannotBe(t *testing.T) {
	if _, err := attestations.NewStatement(chat, finetuned()); err != nil {
		t.Fatal(err)
	}
	type def = attestations.BuildDefinition
	for name, spoil := range map[string]func(*attestations.Provenance, *def){
		"itself as a dependency": func(_ *attestations.Provenance, b *def) {
			b.ResolvedDependencies[1].Digest = attestations.Digest{Class: attestations.ClassArtifact, Hex: hexOf(1)}
		},
		"names that collide": func(_ *attestations.Provenance, b *def) { b.ResolvedDependencies[1].Name = "source-0" },
		"one input twice": func(_ *attestations.Provenance, b *def) {
			b.ResolvedDependencies = append(b.ResolvedDependencies, b.ResolvedDependencies[2])
			b.ResolvedDependencies[3].Name = "another"
		},
		"no digest":      func(_ *attestations.Provenance, b *def) { b.ResolvedDependencies[1].Digest = attestations.Digest{} },
		"no URI":         func(_ *attestations.Provenance, b *def) { b.ResolvedDependencies[1].URI = "" },
		"a password":     func(_ *attestations.Provenance, b *def) { b.ResolvedDependencies[1].URI = "https://me:secret@host/x" },
		"a relative URI": func(_ *attestations.Provenance, b *def) { b.ResolvedDependencies[1].URI = "./base" },
		"another class": func(_ *attestations.Provenance, b *def) {
			b.ResolvedDependencies[1].Digest.Class = attestations.ClassFile
		},
		"an unknown class": func(_ *attestations.Provenance, b *def) { b.ResolvedDependencies[1].Digest.Class = "md5" },
		"an upper-case hex": func(_ *attestations.Provenance, b *def) {
			b.ResolvedDependencies[1].Digest.Hex = strings.ToUpper(hexOf(11))
		},
		"a short digest":  func(_ *attestations.Provenance, b *def) { b.ResolvedDependencies[1].Digest.Hex = hexOf(11)[1:] },
		"an unknown role": func(_ *attestations.Provenance, b *def) { b.ResolvedDependencies[0].Role = "sources" },
		"a dirty model":   func(_ *attestations.Provenance, b *def) { b.ResolvedDependencies[1].Dirty = true },
		"a foreign type":  func(_ *attestations.Provenance, b *def) { b.BuildType = "https://other.example/build/v1" },
		"another's parameter": func(_ *attestations.Provenance, b *def) {
			b.ExternalParameters.Scheme = "int8"
		},
		"weights of no merge":   func(_ *attestations.Provenance, b *def) { b.ExternalParameters.Weights = map[string]string{"x": "1"} },
		"a seed that is no int": func(_ *attestations.Provenance, b *def) { b.ExternalParameters.Seed = "1e3" },
		"an end before start":   func(p *attestations.Provenance, _ *def) { p.RunDetails.Metadata.FinishedOn = began.Add(-1) },
		"no start":              func(p *attestations.Provenance, _ *def) { p.RunDetails.Metadata.StartedOn = time.Time{} },
		"no builder":            func(p *attestations.Provenance, _ *def) { p.RunDetails.Builder.ID = "" },
		"a byproduct's digest": func(p *attestations.Provenance, _ *def) {
			p.RunDetails.Byproducts = []attestations.Resource{{Name: "log"}}
		},
		"a name with an escape":  func(_ *attestations.Provenance, b *def) { b.ResolvedDependencies[1].Name = "base\x1b[2J" },
		"a year that cannot be":  func(p *attestations.Provenance, _ *def) { p.RunDetails.Metadata.StartedOn = time.Unix(-1e9, 0) },
		"an invocation's escape": func(p *attestations.Provenance, _ *def) { p.RunDetails.Metadata.InvocationID = "\n" },
	} {
		p := finetuned()
		spoil(&p, &p.BuildDefinition)
		if _, err := attestations.NewStatement(chat, p); err == nil {
			t.Errorf("%s: a statement is made", name)
		}
	}
	for name, on := range map[string]attestations.Artifact{
		"no ID":           {Kind: attestations.KindModel},
		"upper-case ID":   {ID: strings.ToUpper(chat.ID), Kind: attestations.KindModel},
		"no kind":         {ID: chat.ID},
		"unknown kind":    {ID: chat.ID, Kind: "image"},
		"name of control": {ID: chat.ID, Kind: attestations.KindModel, Name: "a\nb"},
	} {
		if _, err := attestations.NewStatement(on, finetuned()); err == nil {
			t.Errorf("%s: a statement is made", name)
		}
	}
	if _, err := attestations.NewStatement(chat, nil); err == nil {
		t.Error("a statement of nothing is made")
	}
}

func TestMergeWeightsNameItsParents(t *testing.T) {
	p := provenance(attestations.BuildMerge, attestations.RoleMergeParent, attestations.RoleMergeParent)
	p.BuildDefinition.ExternalParameters.Weights = map[string]string{"merge-parent-0": "0.7", "merge-parent-1": "0.3"}
	if _, err := attestations.NewStatement(chat, p); err != nil {
		t.Fatal(err)
	}
	p.BuildDefinition.ExternalParameters.Weights["merge-parent-2"] = "0.1"
	if _, err := attestations.NewStatement(chat, p); err == nil {
		t.Error("a weight of no parent is taken")
	}
}

// TestStatementsAreReadStrictly alters the text of a sound statement.
func TestStatementsAreReadStrictly(t *testing.T) {
	st, err := attestations.NewStatement(chat, finetuned())
	if err != nil {
		t.Fatal(err)
	}
	sound := string(st.Payload())
	if c, err := attestations.ParseStatement([]byte(sound)); err != nil || c.On != chat {
		t.Fatalf("%+v: %v", c, err)
	}
	for name, edit := range map[string][2]string{
		"an unknown parameter":   {`"externalParameters":{`, `"externalParameters":{"debug":"1"`},
		"a parameter's case":     {`"externalParameters":{`, `"externalParameters":{"Seed":"1"`},
		"a number for text":      {`"externalParameters":{`, `"externalParameters":{"seed":1`},
		"null for a parameter":   {`"externalParameters":{`, `"externalParameters":{"seed":null`},
		"null for parameters":    {`"externalParameters":{}`, `"externalParameters":null`},
		"a member twice":         {`"builder":{`, `"builder":{"id":"https://x.example",`},
		"another case":           {`"runDetails"`, `"rundetails"`},
		"another predicate":      {`"predicateType":"https://slsa.dev/provenance/v1"`, `"predicateType":"https://slsa.dev/verification_summary/v1"`},
		"an unknown type":        {`slsa.dev/provenance/v1`, `slsa.dev/provenance/v0.2`},
		"another statement type": {`Statement/v1`, `Statement/v0.1`},
		"two subjects":           {`"subject":[`, `"subject":[{"digest":{"sha256":"` + hexOf(5) + `"}},`},
		"a subject's second digest": {`"subject":[{"name":"chat","digest":{`,
			`"subject":[{"name":"chat","digest":{"sha1":"da39a3ee5e6b4b0d3255bfef95601890afd80709",`},
		"a commit as subject":      {`"digest":{"sha256":"` + hexOf(1) + `"}`, `"digest":{"gitCommit":"` + hexOf(1) + `"}`},
		"a subject of no kind":     {`"io.github.hallmark-project.kind":"model"`, ``},
		"a subject of other kind":  {`"io.github.hallmark-project.kind":"model"`, `"io.github.hallmark-project.kind":"image"`},
		"a time with an offset":    {`"startedOn":"2026-11-20T14:03:00Z"`, `"startedOn":"2026-11-20T14:03:00+00:00"`},
		"a time that is no date":   {`"startedOn":"2026-11-20T14:03:00Z"`, `"startedOn":"2026-02-30T14:03:00Z"`},
		"no dependencies":          {`"resolvedDependencies":[`, `"resolvedDependencies":[],"x":[`},
		"a digest beside":          {`"digest":{"sha256":"` + hexOf(11) + `"}`, `"digest":{"sha256":"` + hexOf(11) + `","sha1":"da39a3ee5e6b4b0d3255bfef95601890afd80709"}`},
		"a digest's class missing": {`"io.github.hallmark-project.digest-class":"artifact",`, ``},
		"trailing data":            {`"finishedOn":"2026-11-20T15:33:00Z"}}}}`, `"finishedOn":"2026-11-20T15:33:00Z"}}}} {}`},
	} {
		altered := strings.Replace(sound, edit[0], edit[1], 1)
		if altered == sound {
			t.Errorf("%s: the edit changes nothing", name)
		}
		if _, err := attestations.ParseStatement([]byte(altered)); err == nil {
			t.Errorf("%s: it is read", name)
		}
	}
	// What in-toto and SLSA leave open is ignored.
	for name, edit := range map[string][2]string{
		"statement":   {`"_type"`, `"x":{},"_type"`},
		"subject":     {`"subject":[{`, `"subject":[{"mediaType":"x/y",`},
		"run details": {`"runDetails":{`, `"runDetails":{"https://other.example/v1":{"a":null},`},
		"dependency":  {`"name":"base-model-1"`, `"name":"base-model-1","downloadLocation":"https://x.example"`},
	} {
		if _, err := attestations.ParseStatement([]byte(strings.Replace(sound, edit[0], edit[1], 1))); err != nil {
			t.Errorf("an extension of the %s: %v", name, err)
		}
	}
}
