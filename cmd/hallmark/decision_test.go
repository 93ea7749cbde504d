package main

import (
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

func TestFindingTextSaysWhatWasFoundInItsOwnWords(t *testing.T) {
	for want, f := range map[string]policy.Finding{
		"model.bin  signed sha256:a  found sha256:b":                {Code: policy.DigestMismatch, File: "model.bin", Want: "sha256:a", Got: "sha256:b"},
		"signed sha256:a  found sha256:b":                           {Code: policy.IDMismatch, Want: "sha256:a", Got: "sha256:b", Detail: "not its ID"},
		"extra.txt  not signed":                                     {Code: policy.FileUnsigned, File: "extra.txt", Detail: "not signed"},
		"claims.sig line 2  it is about another artifact: sha256:b": {Code: policy.WrongSubject, Where: "claims.sig line 2", Want: "sha256:a", Got: "sha256:b", Detail: "it is about another artifact"},
		"made by train: train; wanted: finetune":                    {Code: policy.WrongBuildType, Want: "finetune", Got: "train", Detail: "made by train: train"},
		"from elsewhere: git+https://x":                             {Code: policy.LinkSwapped, Got: "git+https://x", Detail: "from elsewhere"},
		`the rule metric("f1") > 0.9 is false`:                      {Code: policy.RuleFailed, Want: `metric("f1") > 0.9`, Detail: `the rule metric("f1") > 0.9 is false`},
		"oci:store:revoked  artifact sha256:b is revoked: poisoned": {Code: policy.Revoked, Where: "oci:store:revoked", Got: "sha256:b", Detail: "artifact sha256:b is revoked: poisoned"},
		`not "\u202e" what the policy names`:                        {Code: policy.LinkSwapped, Detail: `not "\u202e" what the policy names`},
		"\"a rule that says \\u202e\"":                              {Code: policy.RuleFailed, Detail: "a rule that says \u202e"},
	} {
		if got := findingText(f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
