package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
)

// revokeFlags is what is revoked, and which list says so.
type revokeFlags struct {
	Class    string
	Identity string
	Provider string
	Key      string
	CA       string
	Subject  string
	Builder  string
	Source   string

	List    string
	Init    bool
	Renew   bool
	Scope   string
	Reason  string
	Since   string
	Expires string

	with signFlags
	net  networkFlags
	out  output
}

func newRevoke(s streams) *cobra.Command {
	var f revokeFlags
	c := &cobra.Command{
		Use:   "revoke [DIGEST] --list FILE|REF",
		Short: "State what is no longer to be trusted, in the next signed list",
		Long: `Sign the next list of what is revoked: all that the present one has, and DIGEST, a signer, a builder or a source besides. A
list replaces the one before, has the next number, and runs out, so that withholding it is noticed; --renew signs the present
one anew before it does. The present list has to be by the same signer. --init begins with the first. Where somebody else
writes a list at the same time nothing is lost silently: it is said, and to be done again.

A policy names the list and whose counts (revocations: {from, signers, maxAge}). A digest is never to be trusted again; of a
signer, a builder or a source, what was signed or made from --since on is not. With --scope descendants neither is what was
made from it.

--list is a file, or a tag in a registry or layout: HOST/NAME:TAG or oci:DIR:TAG. What is revoked and why has to be typed: it
is not taken from the environment.`,
		Example: `  hallmark revoke --init --list revoked.jsonl --private-key data.key
  hallmark revoke sha256:… --scope descendants --reason 'poisoned training data' --list revoked.jsonl --private-key data.key
  hallmark revoke --public-key old.pub --since 2026-11-01 --reason 'key was copied' --list registry.example/acme/revoked:latest --private-key data.key
  hallmark revoke --renew --list registry.example/acme/revoked:latest --private-key data.key`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			entry, err := f.entry(args)
			if err != nil {
				return withUsage(c, err)
			}
			return f.run(c.Context(), s, entry)
		},
	}
	v := c.Flags()
	v.StringVar(&f.Class, "class", "", "what DIGEST is of: `artifact`, file, git-commit, or attestation, by a bundle's own name; default: artifact")
	v.StringVar(&f.Identity, "identity", "", "revoke the keyless `NAME`, with --identity-provider")
	v.StringVar(&f.Provider, "identity-provider", "", "`URL` of the OIDC issuer that vouches for --identity")
	v.StringVar(&f.Key, "public-key", "", "revoke the key in the PEM `FILE`")
	v.StringVar(&f.CA, "ca", "", "revoke what is signed by leaves of the CA in the PEM `FILE`: all of them, or one with --subject")
	v.StringVar(&f.Subject, "subject", "", "with --ca: the leaf's `SUBJECT`")
	v.StringVar(&f.Builder, "builder", "", "revoke the builder with this `URI`")
	v.StringVar(&f.Source, "source", "", "revoke what is from this `URI`")
	v.StringVar(&f.List, "list", "", "`FILE|REF` of the list")
	v.BoolVar(&f.Init, "init", false, "there is no list yet: begin with the first")
	v.BoolVar(&f.Renew, "renew", false, "sign the present list anew, with a new end")
	v.StringVar(&f.Scope, "scope", string(attestations.ScopeSelf), "how far it reaches: `self`, or descendants: and all that was made from it")
	v.StringVar(&f.Reason, "reason", "", "`TEXT` for people")
	v.StringVar(&f.Since, "since", "", "`TIME` from which it is not to be trusted, RFC 3339 or a date; default: now")
	v.StringVar(&f.Expires, "expires", "168h", "`TIME` until which the list holds: RFC 3339, a date, or a duration such as 168h")
	typed(v, "class", "identity", "identity-provider", "public-key", "ca", "subject", "builder", "source", "init", "renew", "scope", "reason", "since")
	f.with.bind(v)
	f.net.bindRegistry(v)
	f.out.bind(v, "print the list's number alone")
	return c
}

// entry is what is to be revoked; nil: nothing but a first or renewed list.
func (f *revokeFlags) entry(args []string) (*attestations.Revocation, error) {
	e := attestations.Revocation{Builder: f.Builder, SourceURI: f.Source, Scope: attestations.RevocationScope(f.Scope), Reason: f.Reason, Since: now()}
	given := len(args)
	for _, what := range []string{f.Identity, f.Key, f.CA, f.Builder, f.Source} {
		if what != "" {
			given++
		}
	}
	switch {
	case f.List == "":
		return nil, errors.New("--list is needed: the file or reference of the list")
	case f.Init && f.Renew:
		return nil, errors.New("--init and --renew exclude each other")
	case given > 1:
		return nil, errors.New("one thing is revoked at a time")
	case given == 1 && f.Renew:
		return nil, errors.New("--renew adds nothing: whatever is revoked has the next list signed anyway")
	case given == 0 && (f.Init || f.Renew):
		return nil, nil
	case given == 0:
		return nil, errors.New("nothing to revoke: DIGEST, --identity, --public-key, --ca, --builder or --source")
	case f.Reason == "":
		return nil, errors.New("--reason is needed")
	}
	var err error
	if f.Since != "" {
		if e.Since, err = parseUntil(f.Since, e.Since); err != nil {
			return nil, fmt.Errorf("--since: %w", err)
		}
	}
	if len(args) == 1 {
		e.Digest, err = f.digest(args[0])
	} else {
		e.Identity, err = f.signer()
	}
	if err != nil {
		return nil, err
	}
	probe := attestations.Revocations{Sequence: 1, Issued: e.Since, Expires: e.Since.Add(time.Hour), Entries: []attestations.Revocation{e}}
	return &e, probe.Check()
}

// digest reads DIGEST as what --class says that it is of.
func (f *revokeFlags) digest(text string) (attestations.Digest, error) {
	algorithm, digits, _ := strings.Cut(text, ":")
	classes := map[string]attestations.DigestClass{"": attestations.ClassArtifact, "artifact": attestations.ClassArtifact, "file": attestations.ClassFile,
		"git-commit": attestations.ClassGitCommit, "attestation": attestations.ClassAttestation}
	class, known := classes[f.Class]
	switch {
	case !known:
		return attestations.Digest{}, fmt.Errorf("--class %q: it is artifact, file, git-commit or attestation", f.Class)
	case class == attestations.ClassGitCommit && algorithm != string(attestations.ClassGitCommit), class != attestations.ClassGitCommit && algorithm != "sha256":
		return attestations.Digest{}, fmt.Errorf("%q is no digest of that class: sha256:…, or gitCommit:… with --class git-commit", text)
	}
	return attestations.Digest{Class: class, Hex: digits}, nil
}

// signer reads which signer is meant; none where a builder or source is.
func (f *revokeFlags) signer() (attestations.SignerIdentity, error) {
	switch {
	case (f.Identity == "") != (f.Provider == ""):
		return attestations.SignerIdentity{}, errors.New("--identity and --identity-provider need each other")
	case f.Subject != "" && f.CA == "":
		return attestations.SignerIdentity{}, errors.New("--subject needs --ca")
	case f.Key != "":
		data, err := readSmall(f.Key)
		if err != nil {
			return attestations.SignerIdentity{}, err
		}
		k, err := trust.LoadKey(data)
		if err != nil {
			return attestations.SignerIdentity{}, fmt.Errorf("--public-key %s: %w", f.Key, err)
		}
		return attestations.SignerIdentity{Key: k.Fingerprint()}, nil
	case f.CA != "":
		data, err := readSmall(f.CA)
		if err != nil {
			return attestations.SignerIdentity{}, err
		}
		all, err := trust.LoadAuthorities(data)
		switch {
		case err != nil:
			return attestations.SignerIdentity{}, fmt.Errorf("--ca %s: %w", f.CA, err)
		case len(all) != 1:
			return attestations.SignerIdentity{}, fmt.Errorf("--ca %s: it holds %d certificates, and one is revoked at a time", f.CA, len(all))
		}
		return attestations.SignerIdentity{CA: all[0].Fingerprint(), Subject: f.Subject}, nil
	}
	return attestations.SignerIdentity{Issuer: f.Provider, Subject: f.Identity}, nil
}

func (f *revokeFlags) run(ctx context.Context, s streams, entry *attestations.Revocation) error {
	f.net.Timeout = f.with.Timeout
	f.with.identity.silent = f.out.JSON || f.out.Quiet
	by, err := f.with.load(ctx, s)
	if err != nil {
		return err
	}
	book := registry.Lists{From: f.List, Options: f.net.options()}
	next, was, err := f.present(ctx, book, by)
	if err != nil {
		return err
	}
	if entry != nil && !next.Add(*entry) {
		return refusal{fmt.Errorf("revoke in %s: it is revoked already", printable(f.List))}
	}
	issued := now()
	if !issued.After(next.Issued) && next.Sequence > 0 { // several in one second
		issued = next.Issued.Add(time.Second)
	}
	next.Sequence, next.Issued = next.Sequence+1, issued
	if next.Expires, err = parseUntil(f.Expires, issued); err != nil {
		return usagef("--expires: %w", err)
	}
	statement, err := attestations.NewRevocations(next)
	if err != nil {
		return usageError{err}
	}
	bundle, opened, err := attestations.Sign(ctx, statement, by)
	if err != nil {
		return err
	}
	err = book.Replace(ctx, bundle, was)
	if errors.Is(err, registry.ErrOvertaken) {
		return refusal{hintError{err, "run it again: it goes on from the list that is there now"}}
	}
	if err != nil {
		return err
	}
	return f.show(s, next, opened)
}

// present is the list as it is now, by the same signer, and all that lies there with it; the zero list where there is to be
// none yet.
func (f *revokeFlags) present(ctx context.Context, book registry.Lists, by signer.Signer) (newest attestations.Revocations, was registry.Edition, err error) {
	was, err = book.Read(ctx)
	switch {
	case f.Init && registry.IsNotFound(err):
		return attestations.Revocations{Entries: []attestations.Revocation{}}, was, nil
	case f.Init && err == nil:
		return newest, was, refusal{fmt.Errorf("begin %s: there is a list already", printable(f.List))}
	case registry.IsNotFound(err):
		return newest, was, hintError{err, "the first list is begun with --init"}
	case err != nil:
		return newest, was, err
	}
	var why error
	for _, item := range was.Items {
		opened, err := attestations.Open(item.Bundle, ownRoots(by))
		if err == nil {
			var list attestations.Revocations
			if list, _, err = attestations.Read[attestations.Revocations](opened); err == nil && list.Sequence > newest.Sequence {
				newest = list
			}
		}
		why = errors.Join(why, err)
	}
	if newest.Sequence == 0 {
		return newest, was, refusal{fmt.Errorf("go on with %s: no list there is by this signer: %w", printable(f.List), why)}
	}
	return newest, was, nil
}

// revokedResult is what hallmark revoke prints as JSON: hallmark.revoked/v1.
type revokedResult struct {
	Schema   string       `json:"schema"`
	List     string       `json:"list"`
	Sequence uint64       `json:"sequence,string"`
	Issued   time.Time    `json:"issued"`
	Expires  time.Time    `json:"expires"`
	Entries  int          `json:"entries"`
	Bundle   string       `json:"bundle"` // its own name
	Signer   trust.Signer `json:"signer"`
}

func (f *revokeFlags) show(s streams, list attestations.Revocations, a *attestations.Attestation) error {
	r := revokedResult{"hallmark.revoked/v1", f.List, list.Sequence, list.Issued, list.Expires, len(list.Entries), a.Name(), a.Signer()}
	switch {
	case f.out.JSON:
		return writeJSON(s.out, r)
	case f.out.Quiet:
		_, err := fmt.Fprintln(s.out, r.Sequence)
		return err
	}
	_, err := fmt.Fprintf(s.out, "list     %s, number %d, %s\nby       %s\nuntil    %s\nbundle   %s\n",
		printable(r.List), r.Sequence, count(r.Entries, "entry", "entries"), r.Signer, r.Expires.UTC().Format("2006-01-02 15:04 UTC"), r.Bundle)
	return err
}
