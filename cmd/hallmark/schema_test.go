package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hallmark-project/hallmark/pkg/trust/store"
	"github.com/hallmark-project/hallmark/test/lab/tuf"
)

// schemas compiles every schema beside the commands, by the name that output carries.
func schemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	files, err := filepath.Glob("*.schema.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("schemas %q: %v", files, err)
	}
	all := map[string]*jsonschema.Schema{}
	for _, file := range append(files, filepath.Join("..", "..", "pkg", "policy", "decision.schema.json")) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource(file, document); err != nil {
			t.Fatal(err)
		}
		s, err := c.Compile(file)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		id := "https://github.com/hallmark-project/hallmark/" + filepath.ToSlash(filepath.Join("cmd", "hallmark", file))
		if got := document.(map[string]any)["$id"]; got != id {
			t.Errorf("%s calls itself %v, not %s", file, got, id)
		}
		all[document.(map[string]any)["title"].(string)] = s
	}
	return all
}

// check holds one JSON object to the schema that it names, and to that schema noticing what is missing or unknown.
func check(t *testing.T, all map[string]*jsonschema.Schema, seen map[string]bool, raw string) {
	t.Helper()
	var named struct {
		Schema string `json:"schema"`
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(raw))
	if err != nil || json.Unmarshal([]byte(raw), &named) != nil {
		t.Errorf("no JSON: %v\n%s", err, raw)
		return
	}
	s, ok := all[named.Schema]
	if !ok {
		t.Errorf("no schema for %q", named.Schema)
		return
	}
	seen[named.Schema] = true
	if err := s.Validate(value); err != nil {
		t.Errorf("%v\n%s", err, raw)
	}
	object := value.(map[string]any)
	object["unheard-of"] = true
	if s.Validate(object) == nil && named.Schema != "hallmark.decision/v1" { // that one is open at its top
		t.Errorf("%s takes any member", named.Schema)
	}
	delete(object, "unheard-of")
	delete(object, "schema")
	if s.Validate(object) == nil {
		t.Errorf("%s does without its name", named.Schema)
	}
}

// goodPolicy is a policy by which the signed model passes, and goodPolicyTable says so.
const (
	goodPolicy = "apiVersion: hallmark/v1\nkind: Policy\nname: prod\nversion: 1\nexpires: 2099-01-01\nidentities: {trainer: {key: trainer.pub}}\n" +
		"target: release\nsteps: {release: {signature: [trainer]}}\n"
	goodPolicyTable = "apiVersion: hallmark/v1\nkind: PolicyTest\ncases: [{name: good, artifact: pulled, now: 2026-11-20, expect: yes}]\n"
)

// TestOutputFitsItsSchema runs every command that prints JSON, in the forms that differ, and holds each line of it that
// is an object to the published schema.
func TestOutputFitsItsSchema(t *testing.T) {
	all, seen := schemas(t), map[string]bool{}
	made := os.DirFS(filepath.Join(mustWorkDir(t), "testdata", "layout"))
	signedModel(t)
	if err := os.CopyFS("made", made); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("chat/notes.txt", []byte("n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for file, step := range map[string]string{"policy.yaml": "{signature: [trainer], uncovered: [notes.txt]}", "strict.yaml": "{signature: [trainer], uncovered: [notes.txt], provenance: {types: [train], signers: [trainer]}}"} {
		text := "apiVersion: hallmark/v1\nkind: Policy\nname: p\nversion: 1\nidentities: {trainer: {key: trainer.pub}}\n" +
			"revocations: {from: revoked.jsonl, signers: [trainer]}\nbuilders: [{id: https://acme.example/b, signers: [trainer]}]\ntarget: release\nsteps: {release: " + step + "}\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	begin, end := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.WriteFile("root.json", tuf.TrustedRoot(t, "file.test", begin, end), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"prod.yaml": goodPolicy, "odd.yaml": strings.Replace(goodPolicy, "target", "tarjet", 1), "prod.test.yaml": goodPolicyTable} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		code int
		args string
	}{
		{exitDone, "digest chat"},
		{exitDone, "digest chat --hash blake3 --shards"},
		{exitDone, "sign chat --private-key trainer.key --ignore-paths notes.txt"},
		{exitDone, "digest chat"},
		{exitUnknown, "sign chat nowhere --private-key trainer.key --ignore-paths notes.txt"},
		{exitDone, "digest chat --output digests.json"},
		{exitDone, "sign --digests digests.json --ignore-paths notes.txt --private-key trainer.key"},
		{exitDone, "push chat oci:layout:v2"},
		{exitDone, "push chat oci:layout"},
		{exitDone, "sign oci:layout:v2 --private-key trainer.key --kind dataset"},
		{exitDone, "copy oci:layout:v2 oci-archive:chat.tar:v2"},
		{exitDone, "verify chat --public-key trainer.pub"},
		{exitDone, "audit oci:layout --public-key trainer.pub --state seen"},
		{exitUnknown, "audit oci:layout oci:nowhere --public-key trainer.pub --state seen"},
		{exitDone, "pull oci:layout:v2 pulled --public-key trainer.pub"},
		{exitDone, "inspect chat"},
		{exitDone, "inspect oci:layout:v2 --public-key trainer.pub"},
		{exitDone, "release chat --private-key trainer.key --name chat --version 1 --channel stable --sequence 1"},
		{exitDone, "show chat --public-key trainer.pub"},
		{exitDone, "verify made/chat --layout made/root.layout --layout-key made/owner.pub"},
		{exitNo, "verify made/chat --layout made/root.layout --layout-key trainer.pub"},
		{exitDone, "index update oci:layout --store index.db --public-key trainer.pub"},
		{exitDone, "index rebuild oci:layout --store index.db --public-key trainer.pub"},
		{exitDone, "index check --store index.db"},
		{exitDone, "lineage ID --store index.db"},
		{exitDone, "impact ID --in oci:layout --public-key trainer.pub --deployed"},
		{exitDone, "revoke --init --list revoked.jsonl --private-key trainer.key"},
		{exitDone, "verify chat --policy policy.yaml --offline"},
		{exitNo, "audit oci:layout --policy policy.yaml --simulate strict.yaml --state seen"},
		{exitDone, "audit oci:layout --policy policy.yaml --controls ai-security"},
		{exitNo, "verify chat --policy strict.yaml --offline"},
		{exitNo, "verify chat oci:layout:v2 --policy strict.yaml --offline"},
		{exitDone, "export chat --policy policy.yaml --out exported --offline"},
		{exitDone, "trust import root.json"},
		{exitDone, "trust show"},
		{exitDone, "trust show --trusted-root root.json"},
		{exitDone, "inspect chat --identity a --identity-provider https://b.test"},
		{exitNo, "verify chat --identity a --identity-provider https://b.test"},
		{exitDone, "policy lint prod.yaml"},
		{exitNo, "policy lint prod.yaml --strict"},
		{exitUnknown, "policy lint odd.yaml"},
		{exitDone, "policy test prod.yaml"},
	} {
		args := strings.Fields(c.args)
		if len(args) > 1 && args[1] == "ID" {
			args[1] = strings.TrimSpace(mustRun(t, "digest", "chat", "--quiet"))
		}
		code, out, errs := hallmark(t, append(args, "--json")...)
		if code != c.code {
			t.Errorf("hallmark %s: exit code %d, want %d\n%s%s", c.args, code, c.code, out, errs)
			continue
		}
		for object := json.NewDecoder(strings.NewReader(out)); object.More(); {
			var raw json.RawMessage
			if err := object.Decode(&raw); err != nil {
				t.Fatalf("hallmark %s: %v\n%s", c.args, err, out)
			}
			check(t, all, seen, string(raw))
		}
		for line := range strings.Lines(errs) {
			if strings.HasPrefix(line, "{") {
				check(t, all, seen, line)
			}
		}
	}
	repo := tuf.New(t, end, end)
	if err := os.WriteFile("anchor.json", repo.Anchor(), 0o644); err != nil {
		t.Fatal(err)
	}
	const servers = `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json",
"caUrls":[{"url":"https://ca.test","majorApiVersion":1,"validFor":{"start":"2020-01-01T00:00:00Z"},"operator":"test"}],
"rekorTlogUrls":[{"url":"https://log.test","majorApiVersion":1,"validFor":{"start":"2020-01-01T00:00:00Z"},"operator":"test"}],
"rekorTlogConfig":{"selector":"ANY"}}`
	for config, want := range map[string]bool{"": false, "nonsense": false, servers: true} {
		if repo.Config = nil; config != "" {
			repo.Config = []byte(config)
		}
		repo.Publish(tuf.TrustedRoot(t, "mirror.test", begin, end))
		out := mustRun(t, "trust", "update", "--mirror", repo.URL, "--root", "anchor.json", "--json")
		if strings.Contains(out, `"signingServers"`) != want {
			t.Errorf("with the signing config %q: %s", config, out)
		}
		check(t, all, seen, out)
	}
	for command, want := range map[string]int{"exit 7": 7, "kill -KILL $$": 137, "true": exitRun, "mkdir q; echo w >q/w": exitDone} {
		code, _, errs := hallmark(t, "run", "--type", "quantize", "--input", "base-model=./chat", "--output", "q", "--private-key", "trainer.key", "--report", "ran.json", "--", "sh", "-c", command)
		if code != want {
			t.Errorf("run %s: exit code %d, want %d\n%s", command, code, want, errs)
		}
		raw, err := os.ReadFile("ran.json")
		if err != nil {
			t.Fatal(err)
		}
		check(t, all, seen, string(raw))
		if err := os.RemoveAll("q"); err != nil {
			t.Fatal(err)
		}
	}
	for name := range all {
		if !seen[name] {
			t.Errorf("nothing that was printed is %s", name)
		}
	}
}

// TestStaleRootIsShownAndNotUsed has a root whose mirror promised nothing beyond a time that is over.
func TestStaleRootIsShownAndNotUsed(t *testing.T) {
	all, seen := schemas(t), map[string]bool{}
	signedModel(t)
	end := time.Date(2020, 3, 1, 0, 0, 0, 0, time.UTC)
	repo := tuf.New(t, end, end)
	repo.Publish(tuf.TrustedRoot(t, "mirror.test", end.AddDate(-1, 0, 0), end.AddDate(100, 0, 0)))
	at := store.Store{Dir: os.Getenv("HALLMARK_TRUST_DIR"), Now: func() time.Time { return end.AddDate(0, 0, -1) }}
	if _, err := at.Update(t.Context(), store.UpdateOptions{Mirror: repo.URL, Anchor: repo.Anchor()}); err != nil {
		t.Fatal(err)
	}
	code, out, errs := hallmark(t, "trust", "show", "--json")
	if code != exitUnknown || !strings.Contains(out, `"stale": true`) || errs != "" {
		t.Errorf("shown: exit code %d\n%s%s", code, out, errs)
	}
	check(t, all, seen, out)
	code, out, errs = hallmark(t, "verify", "./chat", "--identity", "a", "--identity-provider", "https://b.test")
	if code != exitUnknown || out != "" || !strings.Contains(errs, "stale since 2020-03-01") || !strings.Contains(errs, "hint: hallmark trust update") {
		t.Errorf("verified: exit code %d\n%s%s", code, out, errs)
	}
	if code, _, errs = hallmark(t, "verify", "./chat", "--public-key", "trainer.pub"); code != exitDone {
		t.Errorf("with a key: exit code %d\n%s", code, errs)
	}
}
