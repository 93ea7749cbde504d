package process_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/process"
)

// TestCommandIsWrittenDownWithoutSecrets has each way in which a secret stands in a command line, and words beside it that
// look like one and are to stay.
func TestCommandIsWrittenDownWithoutSecrets(t *testing.T) {
	environ := []string{"HF_TOKEN=opensesame99", "HOME=/home/trainer", "SHORT_TOKEN=abc", "API_KEY=" + strings.Repeat("k", 20)}
	r := process.NewRedactor(environ, []*regexp.Regexp{regexp.MustCompile(`badge-(\d+)`), regexp.MustCompile(`zap\w+`)})
	for _, c := range []struct{ in, want string }{
		{"python train.py --lr 3e-4 --epochs 3", "python train.py --lr 3e-4 --epochs 3"},
		{"train --token abc123", "train --token [redacted]"},
		{"train --token=abc123 x", "train --token=[redacted] x"},
		{"train --hub-token abc --lr 1", "train --hub-token [redacted] --lr 1"},
		{"train --use_auth_token --lr 1", "train --use_auth_token --lr 1"},
		{"train -password hunter2", "train -password [redacted]"},
		{"train --api-key k --api_key=k", "train --api-key [redacted] --api_key=[redacted]"},
		{"train wandb.api_key=k", "train wandb.api_key=[redacted]"},
		{"env WANDB_API_KEY=k DB_PASSWORD=p LR=1 train", "env WANDB_API_KEY=[redacted] DB_PASSWORD=[redacted] LR=1 train"},
		{"train --tokenizer gpt2 --max-tokens 512 --num_tokens=5 --keyboard a", "train --tokenizer gpt2 --max-tokens 512 --num_tokens=5 --keyboard a"},
		{"train --data https://me:pw@data.example/x", "train --data https://[redacted]@data.example/x"},
		{"train --data https://data.example/x?v=1&token=abc&n=2", "train --data https://data.example/x?v=1&token=[redacted]&n=2"},
		{"train s3://b/x?X-Amz-Signature=abc", "train s3://b/x?X-Amz-Signature=[redacted]"},
		{"train hf_abcdefghijklmnopqrstuv ghp_abcdefghijklmnopqrstuv", "train [redacted] [redacted]"},
		{"train glpat-abcdefghijklmnopqrst AKIAABCDEFGHIJKLMNOP", "train [redacted] [redacted]"},
		{"train eyJhbGciOi.eyJzdWIi.c2ln", "train [redacted]"},
		{"train opensesame99 pre-opensesame99-post", "train [redacted] pre-[redacted]-post"},
		{"train abc /home/trainer", "train abc /home/trainer"},
		{"train badge-1234 zapper", "train badge-[redacted] [redacted]"},
	} {
		if got := strings.Join(r.Command(strings.Fields(c.in)), " "); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.in, got, c.want)
		}
	}
}

func TestTextOfAScriptIsRedacted(t *testing.T) {
	r := process.NewRedactor(nil, nil)
	for in, want := range map[string]string{
		`export HF_TOKEN=abc; train --password "two words" --lr 1`: `export HF_TOKEN=[redacted]; train --password [redacted] --lr 1`,
		`curl -H "Authorization: Bearer abcdefgh1" x`:              `curl -H "Authorization: [redacted] [redacted]" x`,
		"cat <<E\n-----BEGIN PRIVATE KEY-----\nMC4\n":              "cat <<E\n[redacted]",
		`{"password": "p", "lr": 1}`:                               `{"password": [redacted], "lr": 1}`,
		"broken \xff byte":                                         "broken \uFFFD byte",
	} {
		if got := r.Text(in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestVariableIsHiddenByItsName(t *testing.T) {
	r := process.NewRedactor(nil, nil)
	for name, want := range map[string]string{"HF_TOKEN": process.Redacted, "GIT_SECRET": process.Redacted, "CUDA_VERSION": "12", "TOKENIZERS_PARALLELISM": "12"} {
		if got := r.Variable(name, "12"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestWithoutDropsByName(t *testing.T) {
	got := process.Without([]string{"A=1", "B=2", "C=", "D"}, func(name string) bool { return name == "B" || name == "D" })
	if want := []string{"A=1", "C="}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
