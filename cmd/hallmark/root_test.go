package main

import "testing"

// TestWhatIsRevokedIsNeverTakenFromTheEnvironment: HALLMARK_PUBLIC_KEY and HALLMARK_BUILDER are set for verify and run.
func TestWhatIsRevokedIsNeverTakenFromTheEnvironment(t *testing.T) {
	flags := newRevoke(streams{}).Flags()
	err := fromEnvironment(flags, func(name string) (string, bool) {
		switch name {
		case "HALLMARK_LIST":
			return "revoked.jsonl", true
		case "HALLMARK_INIT", "HALLMARK_RENEW":
			return "true", true
		case "HALLMARK_PUBLIC_KEY", "HALLMARK_BUILDER", "HALLMARK_IDENTITY", "HALLMARK_IDENTITY_PROVIDER", "HALLMARK_CA", "HALLMARK_SUBJECT",
			"HALLMARK_SOURCE", "HALLMARK_CLASS", "HALLMARK_SCOPE", "HALLMARK_REASON", "HALLMARK_SINCE":
			return "surprise", true
		}
		return "", false
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"public-key", "builder", "identity", "identity-provider", "ca", "subject", "source", "class", "scope", "reason", "since", "init", "renew"} {
		if f := flags.Lookup(name); f.Changed {
			t.Errorf("--%s is %s", name, f.Value)
		}
	}
	if f := flags.Lookup("list"); f.Value.String() != "revoked.jsonl" {
		t.Errorf("--list is %s", f.Value)
	}
}
