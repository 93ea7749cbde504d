package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/pkg/trust/store"
)

func newTrust(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "trust",
		Short: "Say which Sigstore instance counts, and show what that trusts",
		Long: `Keep the trusted root of a Sigstore instance (its certificate authorities, transparency logs and timestamp
authorities) where verify, pull, inspect and sign find it without --trusted-root, and its signing config, which tells
keyless sign what servers to ask. They are stored in the user's own configuration, or where --trust-dir says, and hold
until they are replaced or, after an update, until the mirror's word runs out: a stale root is an error, never used
quietly.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newTrustUpdate(s), newTrustImport(s), newTrustShow(s))
	return c
}

func newTrustUpdate(s streams) *cobra.Command {
	var dir, anchor string
	var offline bool
	var o store.UpdateOptions
	var out output
	c := &cobra.Command{
		Use:   "update",
		Short: "Fetch the trusted root through TUF",
		Long: `Fetch the trusted root through TUF and store it: from the mirror of the last update, or where there was none from
the public-good instance's. A private instance is named once, with the root.json that trust in its mirror begins with.
The signing config, signing_config.v0.2.json, comes along where the mirror has one. All of it is verified before
anything is stored, and no mirror can go back to an older state. Run it as often as the mirror's word holds, which trust
show tells.`,
		Example: `  hallmark trust update
  hallmark trust update --mirror https://tuf.example --root root.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if offline {
				return usagef("--offline: an update is what the network is for; hallmark trust import FILE needs none")
			}
			if anchor != "" {
				var err error
				if o.Anchor, err = readSmall(anchor); err != nil {
					return err
				}
			}
			at, err := trustStore(dir)
			if err != nil {
				return err
			}
			r, err := at.Update(c.Context(), o)
			if err != nil {
				return updateError(c.Context(), err)
			}
			return showTrust(s, shownRoot(r, time.Now()), out)
		},
	}
	c.Flags().StringVar(&o.Mirror, "mirror", "", "`URL` of the TUF repository")
	c.Flags().StringVar(&anchor, "root", "", "root.json `FILE` that trust in the mirror begins with")
	c.Flags().BoolVar(&offline, "offline", false, "never dial: an error here")
	c.Flags().DurationVar(&o.Timeout, "timeout", store.DefaultTimeout, "longest `TIME` of one network step")
	bindTrustDir(c.Flags(), &dir)
	out.bind(c.Flags(), "print the digest alone")
	return c
}

// updateError adds what would help.
func updateError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return err
	case errors.Is(err, store.ErrNoAnchor):
		return usageError{hintError{err, "--root FILE, as the instance's operator publishes it"}}
	case errors.Is(err, store.ErrAddress):
		return usageError{err}
	case errors.Is(err, store.ErrReplaces):
		return usageError{hintError{err, "name the instance that shall count from now on: --mirror " + store.PublicGood}}
	}
	return err
}

func newTrustImport(s streams) *cobra.Command {
	var dir, config string
	var out output
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Store a trusted_root.json for later",
		Long: `Store a Sigstore trusted_root.json in place of the one before, and with --signing-config the signing_config.json of the
same instance, so that keyless sign needs no flag. Without it there is none: another instance's servers are never asked.
Nobody says when they should be replaced: they hold until others take their place.`,
		Example: `  hallmark trust import trusted_root.json
  hallmark trust import trusted_root.json --signing-config signing_config.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := readSmall(args[0])
			if err != nil {
				return err
			}
			var servers []byte
			if config != "" {
				if servers, err = readSmall(config); err != nil {
					return err
				}
				if _, err := signer.ReadInstance(servers, time.Now()); err != nil {
					return usagef("--signing-config %s: %w", config, err)
				}
			}
			at, err := trustStore(dir)
			if err != nil {
				return err
			}
			from, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			r, err := at.Import(data, servers, from)
			if errors.Is(err, trust.ErrRoot) {
				return usagef("%s: %w", args[0], err)
			}
			if err != nil {
				return err
			}
			return showTrust(s, shownRoot(r, time.Now()), out)
		},
	}
	c.Flags().StringVar(&config, "signing-config", "", "signing_config.json `FILE` of the same instance: the servers that keyless sign asks")
	bindTrustDir(c.Flags(), &dir)
	out.bind(c.Flags(), "print the digest alone")
	return c
}

func newTrustShow(s streams) *cobra.Command {
	var dir, file string
	var out output
	c := &cobra.Command{
		Use:   "show",
		Short: "Show what the trusted root trusts, and until when",
		Long: `Show the imported trusted root, or a trusted_root.json: its certificate authorities, transparency logs, CT logs and
timestamp authorities with their keys and windows, what ends within 30 days, and what servers the imported signing config
has keyless sign ask. Thresholds count parties. A root that is stale is shown, with exit code 3.`,
		Example: `  hallmark trust show
  hallmark trust show --trusted-root trusted_root.json --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if file != "" {
				root, err := loadSigstoreFile(file)
				if err != nil {
					return err
				}
				return showTrust(s, shown(root, time.Now()), out)
			}
			at, err := trustStore(dir)
			if err != nil {
				return err
			}
			r, err := at.Load()
			if errors.Is(err, store.ErrNone) {
				return hintError{err, "hallmark trust update, or hallmark trust import FILE"}
			}
			if err != nil {
				return err
			}
			return showTrust(s, shownRoot(r, time.Now()), out)
		},
	}
	c.Flags().StringVar(&file, "trusted-root", "", "trusted_root.json `FILE` to show instead of the imported one")
	bindTrustDir(c.Flags(), &dir)
	out.bind(c.Flags(), "print the digest alone")
	return c
}

// trustResult is what the trust commands print as JSON: hallmark.trust/v1.
type trustResult struct {
	Schema   string        `json:"schema"`
	Source   string        `json:"source"`
	From     string        `json:"from"`
	Digest   string        `json:"digest"`
	Stored   *time.Time    `json:"stored,omitempty"`
	Until    *time.Time    `json:"validUntil,omitempty"`
	Stale    bool          `json:"stale"`
	Trusted  []trust.Entry `json:"trusted"`
	Servers  []string      `json:"signingServers,omitempty"`
	Warnings []string      `json:"warnings"`
}

// shown describes a trusted root at the time now.
func shown(root *trust.Sigstore, now time.Time) trustResult {
	o, entries := root.Origin(), root.Entries()
	return trustResult{Schema: "hallmark.trust/v1", Source: o.Source, From: o.From, Digest: o.Digest, Trusted: entries, Warnings: trust.Warnings(entries, now)}
}

func shownRoot(r *store.Root, now time.Time) trustResult {
	t := shown(r.Sigstore, now)
	t.Stored, t.Stale = &r.Stored, r.Stale(now)
	if !r.Expires.IsZero() {
		t.Until = &r.Expires
	}
	t.Warnings = append(r.Warnings(now), t.Warnings...)
	if r.SigningConfig == nil {
		return t
	}
	instance, err := signer.ReadInstance(r.SigningConfig, now)
	if err != nil {
		t.Warnings = append(t.Warnings, fmt.Sprintf("keyless sign cannot use the signing config: %v", err))
	}
	t.Servers = instance.Servers
	return t
}

// showTrust prints t; what is stale is a don't know.
func showTrust(s streams, t trustResult, out output) error {
	switch {
	case out.JSON:
		if err := writeJSON(s.out, t); err != nil {
			return err
		}
	case out.Quiet:
		if t.Stale {
			return hintError{fmt.Errorf("%w since %s", store.ErrStale, when(t.Until)), "hallmark trust update"}
		}
		_, err := fmt.Fprintln(s.out, t.Digest)
		return err
	default:
		writeTrust(s.out, t)
		for _, w := range t.Warnings {
			fmt.Fprintf(s.err, "hallmark: warning: %s\n", w)
		}
	}
	if t.Stale {
		return undecided{verdict: policy.Unknown}
	}
	return nil
}

func writeTrust(w io.Writer, t trustResult) {
	fmt.Fprintf(w, "trusted root  %s\n", t.Digest)
	fmt.Fprintf(w, "from          %s %s\n", t.Source, printable(t.From))
	if t.Stored != nil {
		fmt.Fprintf(w, "stored        %s\n", when(t.Stored))
	}
	if t.Until != nil {
		fmt.Fprintf(w, "holds until   %s\n", when(t.Until))
	}
	for _, url := range t.Servers {
		fmt.Fprintf(w, "signers ask   %s\n", printable(url))
	}
	for _, e := range t.Trusted {
		fmt.Fprintf(w, "%-21s  %s\n", e.Kind, printable(e.Name))
		fmt.Fprintf(w, "  window   %s to %s\n", day(e.From), day(e.Until))
		fmt.Fprintf(w, "  key      %s\n", e.KeyID)
		if e.Subject != "" {
			fmt.Fprintf(w, "  subject  %s\n", printable(e.Subject))
		}
		if e.Party != "" {
			fmt.Fprintf(w, "  party    %s\n", printable(e.Party))
		}
	}
}

func when(t *time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// day is one end of a window; nil is open.
func day(t *time.Time) string {
	if t == nil {
		return "open"
	}
	return t.Format(time.DateOnly)
}
