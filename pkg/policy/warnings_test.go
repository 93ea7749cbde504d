package policy

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// lintedAt is a time at which the policies of the tests decide.
var lintedAt = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func warned(t *testing.T, raw string, now time.Time) []string {
	t.Helper()
	d, err := Load([]byte(raw), words)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, w := range d.Warnings(now) {
		if w.Message == "" {
			t.Errorf("%+v says nothing", w)
		}
		out = append(out, string(w.Code)+" "+w.Where)
	}
	return out
}

func TestWarningsOfAPolicy(t *testing.T) {
	want := []string{"key-for-ever identities.data", "key-for-ever identities.lead-1", "key-for-ever identities.lead-2", "no-release steps.release",
		"no-max-age steps.approved-base.anyOf.0.ingested", "no-max-age steps.clean-data.evidence.pii"}
	if got := warned(t, testdata(t, "prod-llm.yaml"), lintedAt); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	want = []string{"key-for-ever identities.lead-1", "key-for-ever identities.lead-2", "pattern identities.red-team", "pattern identities.trainer",
		"no-max-age revocations", "no-release steps.lora", "no-builder steps.release.provenance", "pattern steps.release.inputs.source",
		"allowed steps.release.inputs.source", "no-max-age steps.release.evidence.fit", "allowed steps.release.evidence.fit"}
	if got := warned(t, testdata(t, "every-key.yaml"), lintedAt); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// Each warning is there with the edit and not without.
func TestWarningsFollowTheEdit(t *testing.T) {
	before := func(month time.Month, day int) time.Time {
		return time.Date(2026, month, day, 0, 0, 0, 0, time.UTC).Add(-time.Second)
	}
	none := [2]string{"target: release", "target: release"}
	for name, c := range map[string]struct {
		edit [2]string
		now  time.Time
		want string
	}{
		"a policy for ever":     {[2]string{"expires: 2027-03-01\n", ""}, lintedAt, "expires expires"},
		"a policy that ended":   {none, before(15, 3), "expired expires"},
		"one that ends soon":    {none, before(14, 15), "expires expires"},
		"no revocations":        {[2]string{"revocations: {from: oci://registry.example/acme/revocations:latest, signers: [data], maxAge: 72h}\n", ""}, lintedAt, "no-revocations revocations"},
		"a list of any age":     {[2]string{", maxAge: 72h", ""}, lintedAt, "no-max-age revocations"},
		"a pattern":             {[2]string{`subject: "spiffe://acme/red-team"`, `subjectPattern: "spiffe://acme/red-.*"`}, lintedAt, "pattern identities.red-team"},
		"an input's pattern":    {[2]string{`uri: ["git+https://github.com/acme/train"]`, `uriPattern: "git.*"`}, lintedAt, "pattern steps.release.inputs.source"},
		"two patterns":          {[2]string{`{ca: keys/ca.pem, subject: "spiffe://acme/red-team"}`, `{ca: keys/ca.pem, subjectPattern: "spiffe://acme/red-.*"}` + "\n  other: {ca: keys/ca.pem, subjectPattern: \"spiffe://acme/.*-team\"}"}, lintedAt, "counts-twice identities.red-team"},
		"a key that ends soon":  {[2]string{"lead1.pub}", "lead1.pub, validUntil: 2026-06-15}"}, lintedAt, "key-ends identities.lead-1"},
		"a key that ended":      {[2]string{"lead1.pub}", "lead1.pub, validUntil: 2026-05-15}"}, lintedAt, "key-ends identities.lead-1"},
		"a key that is revoked": {[2]string{"lead1.pub}", "lead1.pub, validUntil: 2028-05-15, revokedAt: 2026-05-15}"}, lintedAt, "key-ends identities.lead-1"},
		"an identity for none":  {[2]string{"[lead-1, lead-2], distinct: 2", "[lead-1]"}, lintedAt, "unused identities.lead-2"},
		"a waiver that ended":   {none, before(12, 3), "waiver-ended waivers.0"},
		"a waiver that ends":    {none, before(11, 20), "waiver-ends waivers.0"},
		"evidence of any age":   {[2]string{"signers: [red-team], maxAge: 720h,", "signers: [red-team],"}, lintedAt, "no-max-age steps.release.evidence.robustness"},
		"a dirty tree":          {[2]string{`acme/train"]}`, `acme/train"], allowDirty: true}`}, lintedAt, "allowed steps.release.inputs.source"},
	} {
		raw := edited(t, c.edit[0], c.edit[1])
		if name == "evidence of any age" { // which a waiver of staleness would not go with
			raw, _, _ = strings.Cut(raw, "waivers:")
		}
		if got := warned(t, raw, c.now); !slices.Contains(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
		if got := warned(t, testdata(t, "prod-llm.yaml"), lintedAt); slices.Contains(got, c.want) {
			t.Errorf("%s: warned without the edit too: %q", name, got)
		}
	}
	good := edited(t, "lead1.pub}", "lead1.pub, validUntil: 2027-05-15}")
	if got := warned(t, good, lintedAt); slices.Contains(got, "key-for-ever identities.lead-1") || slices.Contains(got, "key-ends identities.lead-1") {
		t.Errorf("a key with an end far off: %q", got)
	}
	good = edited(t, "    evidence:\n      - {name: rob", "    release: {channel: prod, signers: [lead-1]}\n    evidence:\n      - {name: rob")
	if got := warned(t, good, lintedAt); slices.Contains(got, "no-release steps.release") {
		t.Errorf("a release: %q", got)
	}
}

func TestExplainSaysAllThatIsAsked(t *testing.T) {
	for _, name := range []string{"prod-llm", "every-key"} {
		d, err := Load([]byte(testdata(t, name+".yaml")), words)
		if err != nil {
			t.Fatal(err)
		}
		golden := "testdata/" + name + ".explained.txt"
		got := d.Explain()
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is explained as\n%s", name, got)
		}
	}
}

func TestExplainShowsTextAsText(t *testing.T) {
	d, err := Load([]byte(edited(t, "suite broken", "suite \u202e broken")), words)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Explain(); strings.Contains(got, "\u202e") || !strings.Contains(got, `"suite \u202e broken, ticket 42"`) {
		t.Errorf("%q", got)
	}
}

func TestExplainSaysNothingOfWhatThereIsNot(t *testing.T) {
	raw, _, _ := strings.Cut(testdata(t, "prod-llm.yaml"), "waivers:")
	d, err := Load([]byte(raw), words)
	if err != nil {
		t.Fatal(err)
	}
	got := d.Explain()
	for _, absent := range []string{"what is excused", "where evidence of inputs is fetched"} {
		if strings.Contains(got, absent) {
			t.Errorf("it says %q", absent)
		}
	}
}

// What ends just at the end of the time of notice ends soon, as elsewhere.
func TestWarningsBeginWithTheTimeOfNotice(t *testing.T) {
	raw := testdata(t, "prod-llm.yaml")
	d, err := Load([]byte(raw), words)
	if err != nil {
		t.Fatal(err)
	}
	for early, want := range map[time.Duration]bool{0: true, time.Nanosecond: false} {
		if got := warned(t, raw, d.Expires.Add(-trust.Notice-early)); slices.Contains(got, "expires expires") != want {
			t.Errorf("%s early: %q", early, got)
		}
	}
}

// A builder of just the level that is asked for is one whose signers' word counts.
func TestWarningsTakeABuilderOfTheLevel(t *testing.T) {
	for level, want := range map[string]bool{"2": false, "3": true} {
		raw := edited(t, "level: 2}", "level: 2}\n  - {id: https://acme.example/builders/other, signers: [lead-1], level: 3}")
		raw = strings.Replace(raw, "quantize], signers: [trainer]}", "quantize], signers: [trainer, lead-1], level: "+level+"}", 1)
		if got := warned(t, raw, lintedAt); slices.Contains(got, "no-builder steps.release.provenance") != want {
			t.Errorf("level %s: %q", level, got)
		}
	}
}
