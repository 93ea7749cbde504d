// Command omsclient is the adapter through which the public OMS conformance suite drives Hallmark: sign-model and
// verify-model, with an exit code for an answer.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "omsclient:", err)
		os.Exit(1)
	}
}

// list is a flag that takes several values, repeated or after one flag.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

type request struct {
	method, model, output, bundle          string
	privateKey, signingCert, publicKey     string
	identity, provider, token, trustedRoot string
	signingConfig                          string
	certChain, ignore                      list
	ignoreUnsigned                         bool
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("sign-model or verify-model?")
	}
	r, err := parse(args[0], spread(args[1:]))
	if err != nil {
		return err
	}
	switch args[0] {
	case "sign-model":
		return r.sign(ctx)
	case "verify-model":
		return r.verify(ctx)
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// spread turns "--flag a b" into "--flag a --flag b": the suite passes lists so.
func spread(args []string) []string {
	var out []string
	last, taken := "", false
	for _, a := range args {
		switch {
		case strings.HasPrefix(a, "--"):
			last, taken = a, strings.Contains(a, "=")
			out = append(out, a)
		case taken && last != "":
			out = append(out, last, a)
		default:
			taken = true
			out = append(out, a)
		}
	}
	return out
}

func parse(name string, args []string) (*request, error) {
	var r request
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&r.method, "method", "", "key, certificate or sigstore")
	f.StringVar(&r.model, "model-path", "", "file or directory")
	f.StringVar(&r.output, "output-bundle", "", "where to write the bundle")
	f.StringVar(&r.bundle, "bundle", "", "bundle to verify")
	f.StringVar(&r.privateKey, "private-key", "", "PEM file")
	f.StringVar(&r.signingCert, "signing-cert", "", "PEM file")
	f.StringVar(&r.publicKey, "public-key", "", "PEM file")
	f.StringVar(&r.identity, "identity", "", "who must have signed")
	f.StringVar(&r.provider, "identity-provider", "", "who vouches for the identity")
	f.StringVar(&r.token, "identity-token", "", "OIDC token")
	f.StringVar(&r.trustedRoot, "trusted-root", "", "trusted_root.json")
	f.StringVar(&r.signingConfig, "signing-config", "", "signing_config.json")
	f.Var(&r.certChain, "cert-chain", "PEM files")
	f.Var(&r.ignore, "ignore-paths", "paths that are not content")
	f.BoolVar(&r.ignoreUnsigned, "ignore-unsigned-files", false, "unsigned files do not matter")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 || r.model == "" {
		return nil, fmt.Errorf("unexpected arguments %q, or no model", f.Args())
	}
	return &r, nil
}

func (r *request) sign(ctx context.Context) error {
	by, err := r.signer()
	if err != nil {
		return err
	}
	m, err := manifest.Build(ctx, r.model, manifest.Options{IgnorePaths: r.ignore, Signature: r.output})
	if err != nil {
		return err
	}
	s, err := attestations.NewSignature(m, attestations.KindModel)
	if err != nil {
		return err
	}
	bundle, _, err := attestations.Sign(ctx, s, by)
	if err != nil {
		return err
	}
	return os.WriteFile(r.output, bundle, 0o644)
}

func (r *request) signer() (signer.Signer, error) {
	if r.method == "sigstore" {
		root, err := r.sigstore()
		if err != nil {
			return nil, err
		}
		config, err := os.ReadFile(r.signingConfig)
		if err != nil {
			return nil, err
		}
		return signer.NewKeyless(signer.KeylessOptions{
			Token:       func(context.Context) (string, error) { return r.token, nil },
			TrustedRoot: root, SigningConfig: config,
		})
	}
	data, err := os.ReadFile(r.privateKey)
	if err != nil {
		return nil, err
	}
	key, err := signer.ParsePrivateKey(data, nil)
	if err != nil {
		return nil, err
	}
	if r.method == "key" {
		return signer.NewKey(key)
	}
	certs, err := parseAll(append([]string{r.signingCert}, r.certChain...), trust.ParseCertificates)
	if err != nil {
		return nil, err
	}
	return signer.NewCertificate(key, certs[0], certs[1:])
}

func (r *request) verify(ctx context.Context) error {
	roots, p, err := r.trust()
	if err != nil {
		return err
	}
	files := &chain.Files{Path: r.model, Options: chain.FilesOptions{IgnorePaths: r.ignore, Signature: r.bundle}}
	source := registry.Beside{Path: r.model, Options: registry.EvidenceOptions{Signature: r.bundle}}
	d, err := chain.Verify(ctx, files, []chain.Source{source}, chain.Options{Roots: roots, Policy: p})
	if err != nil {
		return err
	}
	if d.Verdict() != policy.Yes {
		return fmt.Errorf("verdict %s: %v", d.Verdict(), d.Reasons())
	}
	return nil
}

func (r *request) trust() (roots trust.Roots, p policy.Policy, err error) {
	p = policy.Policy{AllowUncovered: true, AllowUnsigned: r.ignoreUnsigned}
	switch r.method {
	case "key":
		data, err := os.ReadFile(r.publicKey)
		if err != nil {
			return roots, p, err
		}
		k, err := trust.LoadKey(data)
		if err != nil {
			return roots, p, err
		}
		roots.Keys = []trust.Key{k}
		p.Signers = []trust.Identity{{Key: k.Fingerprint()}}
	case "certificate":
		if roots.Authorities, err = parseAll(r.certChain, trust.LoadAuthorities); err != nil {
			return roots, p, err
		}
		for _, a := range roots.Authorities {
			p.Signers = append(p.Signers, trust.Identity{CA: a.Fingerprint(), AnySubject: true})
		}
	case "sigstore":
		if roots.Sigstore, err = r.sigstore(); err != nil {
			return roots, p, err
		}
		p.Signers = []trust.Identity{{Issuer: r.provider, Subject: r.identity}}
	default:
		err = fmt.Errorf("method %q: key, certificate or sigstore", r.method)
	}
	return roots, p, err
}

func (r *request) sigstore() (*trust.Sigstore, error) {
	data, err := os.ReadFile(r.trustedRoot)
	if err != nil {
		return nil, err
	}
	return trust.LoadSigstore(data)
}

func parseAll[T any](paths []string, parse func([]byte) ([]T, error)) ([]T, error) {
	var all []T
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		some, err := parse(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, some...)
	}
	return all, nil
}
