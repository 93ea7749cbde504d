package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
)

// inspected is one bundle as inspect shows it.
type inspected struct {
	Where         string                 `json:"where"`
	Verified      bool                   `json:"verified"` // opened against the trust that the caller gave
	Why           string                 `json:"why,omitempty"`
	Name          string                 `json:"name,omitempty"`
	Method        string                 `json:"method,omitempty"`
	Signer        string                 `json:"signer,omitempty"`
	Issuer        string                 `json:"issuer,omitempty"`
	Time          *time.Time             `json:"time,omitempty"`
	TimeSource    string                 `json:"timeSource,omitempty"`
	LogEntries    int                    `json:"logEntries"`
	PredicateType string                 `json:"predicateType,omitempty"`
	Subject       []attestations.Subject `json:"subject,omitempty"`
	Error         string                 `json:"error,omitempty"`
}

func newInspect(s streams) *cobra.Command {
	var whom trustFlags
	var net networkFlags
	var out output
	c := &cobra.Command{
		Use:   "inspect BUNDLE|ARTIFACT|REF",
		Short: "Show who signed an artifact, when, and what is claimed",
		Long: `Show every bundle of an artifact on disk or in a registry, or one bundle file: who signed, when, in which log, and
what is claimed. Without trust flags all of it is what the bundles say of themselves, and marked unverified. It decides
nothing: hallmark verify does.`,
		Example: `  hallmark inspect ./chat
  hallmark inspect ./chat/model.sig --public-key trainer.pub`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var roots trust.Roots
			if !whom.nobody() {
				var err error
				if roots, _, err = whom.load(policy.Policy{}); err != nil {
					return err
				}
			}
			items, err := inspectItems(c.Context(), args[0], net)
			if err != nil {
				return err
			}
			all := make([]inspected, len(items))
			for i, item := range items {
				all[i] = inspectBundle(item, roots)
			}
			if out.JSON {
				return writeJSON(s.out, struct {
					Schema      string        `json:"schema"`
					TrustedRoot *trust.Origin `json:"trustedRoot,omitempty"`
					Bundles     []inspected   `json:"bundles"`
				}{"hallmark.inspect/v1", roots.Origin(), all})
			}
			if root := roots.Origin(); root != nil {
				fmt.Fprintf(s.out, "trusted root  %s\n", root)
			}
			return showInspected(s.out, args[0], all)
		},
	}
	whom.bind(c.Flags())
	net.bind(c.Flags())
	c.Flags().BoolVar(&out.JSON, "json", false, "print one JSON object")
	return c
}

// inspectItems finds the bundles that arg names: a bundle file, or the evidence of an artifact.
func inspectItems(ctx context.Context, arg string, net networkFlags) ([]chain.Item, error) {
	at, err := findPlace(arg)
	if err != nil {
		return nil, err
	}
	if !at.onDisk() {
		stored, err := registry.Find(ctx, at.ref, net.options())
		if err != nil {
			return nil, err
		}
		return stored.Evidence(ctx)
	}
	if info, err := os.Stat(at.path); err == nil && info.Mode().IsRegular() && strings.HasSuffix(at.path, ".sig") {
		return registry.ReadBundles(at.path)
	}
	return registry.Beside{Path: at.path}.Evidence(ctx)
}

func inspectBundle(item chain.Item, roots trust.Roots) inspected {
	out := inspected{Where: item.Where}
	u, err := item.Bundle.Peek()
	if err != nil {
		out.Error = err.Error()
		return out
	}
	out.Name, out.Method, out.Signer, out.Issuer = u.Name, u.Method, u.Signer, u.Issuer
	out.PredicateType, out.Subject, out.LogEntries = u.PredicateType, u.Subject, u.LogEntries
	if roots.Empty() {
		out.Why = "no trust was given"
		return out
	}
	a, err := attestations.Open(item.Bundle, roots)
	if err != nil {
		out.Why = err.Error()
		return out
	}
	out.Verified, out.Signer = true, a.Signer().String()
	if t, source, ok := a.Time(); ok {
		out.Time, out.TimeSource = &t, source
	}
	return out
}

func showInspected(w io.Writer, arg string, all []inspected) error {
	if len(all) == 0 {
		_, err := fmt.Fprintf(w, "%s: no evidence\n", printable(arg))
		return err
	}
	var line string
	for _, b := range all {
		fmt.Fprintln(w, printable(b.Where))
		if b.Error != "" {
			fmt.Fprintf(w, "  UNREADABLE  %s\n", printable(b.Error))
			continue
		}
		if b.Verified {
			fmt.Fprintf(w, "  verified    signed by %s\n", b.Signer)
		} else {
			fmt.Fprintf(w, "  UNVERIFIED  %s; what follows is what the bundle says of itself\n", printable(b.Why))
			fmt.Fprintf(w, "  signer      %s %s\n", b.Method, printable(strings.TrimSpace(b.Signer+" "+b.Issuer)))
		}
		if b.Time != nil {
			fmt.Fprintf(w, "  time        %s %s\n", b.TimeSource, b.Time.UTC().Format("2006-01-02 15:04:05 UTC"))
		}
		if b.LogEntries > 0 {
			fmt.Fprintf(w, "  log         %s\n", count(b.LogEntries, "transparency-log entry", "transparency-log entries"))
		}
		fmt.Fprintf(w, "  claims      %s\n", printable(b.PredicateType))
		for _, sub := range b.Subject {
			fmt.Fprintf(w, "  about       %s %s\n", printable(sub.Name), digests(sub.Digest))
		}
		fmt.Fprintf(w, "  bundle      %s\n", b.Name)
		if line == "" {
			line = verifyLine(arg, b)
		}
	}
	_, err := fmt.Fprintf(w, "to decide:\n  %s\n", line)
	return err
}

// verifyLine is the command that would decide, with places for what only the caller can know.
func verifyLine(arg string, b inspected) string {
	base := "hallmark verify " + shellWord(strings.TrimSuffix(strings.TrimSuffix(arg, "/model.sig"), ".sig"))
	switch trust.Method(b.Method) {
	case trust.MethodKey:
		return base + " --public-key FILE"
	case trust.MethodCertificate:
		return base + " --certificate-chain CA.pem --certificate-subject " + shellWord(b.Signer)
	}
	return base + " --identity " + shellWord(b.Signer) + " --identity-provider " + shellWord(b.Issuer)
}

func digests(set map[string]string) string {
	var parts []string
	for algorithm, hex := range set {
		parts = append(parts, printable(algorithm+":"+hex))
	}
	return strings.Join(parts, " ")
}
