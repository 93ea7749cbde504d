package token

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
	"unicode"
)

// buildkiteAgent is the program that stands for Buildkite's API within a job.
const buildkiteAgent = "buildkite-agent"

func buildkiteOffers(o Options) (bool, error) {
	if o.Getenv("BUILDKITE") != "true" {
		return false, nil
	}
	_, err := exec.LookPath(buildkiteAgent)
	return err == nil, err
}

// buildkiteToken has the agent ask for the job's token. The agent makes its own repetitions.
func buildkiteToken(ctx context.Context, o Options) (string, error) {
	c := exec.CommandContext(ctx, buildkiteAgent, "oidc", "request-token", "--audience", o.Audience)
	c.WaitDelay = time.Second // for what it started and left behind
	out, complaint := capped{most: MaxSize + 1}, capped{most: maxMessage}
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		if said := oneLine(complaint.String()); said != "" {
			return "", fmt.Errorf("run %s: %w: %q", buildkiteAgent, err, said)
		}
		return "", fmt.Errorf("run %s: %w", buildkiteAgent, err)
	}
	if out.Len() == 0 {
		return "", errors.New("run " + buildkiteAgent + ": it printed nothing")
	}
	return out.String(), nil
}

// capped keeps the first bytes of what is written to it, and takes the rest.
type capped struct {
	strings.Builder
	most int
}

// Write implements io.Writer.
func (c *capped) Write(p []byte) (int, error) {
	c.Builder.Write(p[:min(len(p), c.most-c.Len())])
	return len(p), nil
}

// oneLine is text from outside as part of an error.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "")))
}
