package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// trustFlags is whom the caller believes.
type trustFlags struct {
	PublicKeys          []string
	CertificateChains   []string
	CertificateSubject  string
	Identity            string
	IdentityProvider    string
	TrustedRoot         string
	TrustDir            string
	RequireLog          bool
	IgnoreUnsignedFiles bool
}

func (t *trustFlags) bind(f *pflag.FlagSet) {
	f.StringArrayVar(&t.PublicKeys, "public-key", nil, "PEM `FILE` with a public key whose signature counts (repeats)")
	f.StringArrayVar(&t.CertificateChains, "certificate-chain", nil, "PEM `FILE` with CA certificates whose leaves count (repeats)")
	f.StringVar(&t.CertificateSubject, "certificate-subject", "", "with --certificate-chain: the one `SUBJECT` that counts; without, every leaf under the CA does")
	f.StringVar(&t.Identity, "identity", "", "keyless: the `NAME` that must have signed, exactly")
	f.StringVar(&t.IdentityProvider, "identity-provider", "", "keyless: the `URL` of the OIDC issuer that vouches for the name")
	f.StringVar(&t.TrustedRoot, "trusted-root", "", "Sigstore trusted_root.json `FILE`, instead of the imported one (hallmark trust): keyless, and to check the timestamps and log entries of other bundles")
	bindTrustDir(f, &t.TrustDir)
	f.BoolVar(&t.RequireLog, "require-log", false, "a signature counts only if a transparency log of the trusted root has it; keyless ones must be in one anyway")
}

// nobody reports whether no flag names anybody.
func (t *trustFlags) nobody() bool {
	return len(t.PublicKeys) == 0 && len(t.CertificateChains) == 0 && t.Identity == "" && t.IdentityProvider == ""
}

// load reads the files and returns what opens bundles, and p with what the flags amount to. The imported trusted root is
// looked for only where a flag or p asks for what it alone can tell.
func (t *trustFlags) load(p policy.Policy) (trust.Roots, policy.Policy, error) {
	var roots trust.Roots
	p.AllowUnsigned, p.AllowUncovered, p.RequireLog = t.IgnoreUnsignedFiles, true, t.RequireLog
	switch {
	case t.nobody():
		return roots, p, usageError{hintError{errors.New("nobody to trust: say whose signature counts"),
			"--public-key FILE, --certificate-chain FILE, or --identity NAME --identity-provider URL"}}
	case t.CertificateSubject != "" && len(t.CertificateChains) == 0:
		return roots, p, usagef("--certificate-subject needs --certificate-chain")
	case (t.Identity == "") != (t.IdentityProvider == ""):
		return roots, p, usagef("--identity and --identity-provider need each other: a name means nothing without who vouches for it")
	}
	for _, path := range t.PublicKeys {
		data, err := readSmall(path)
		if err != nil {
			return roots, p, err
		}
		k, err := trust.LoadKey(data)
		if err != nil {
			return roots, p, usagef("--public-key %s: %w", path, err)
		}
		roots.Keys = append(roots.Keys, k)
		p.Signers = append(p.Signers, trust.Identity{Key: k.Fingerprint()})
	}
	for _, path := range t.CertificateChains {
		data, err := readSmall(path)
		if err != nil {
			return roots, p, err
		}
		authorities, err := trust.LoadAuthorities(data)
		if err != nil {
			return roots, p, usagef("--certificate-chain %s: %w", path, err)
		}
		for _, a := range authorities {
			roots.Authorities = append(roots.Authorities, a)
			p.Signers = append(p.Signers, trust.Identity{CA: a.Fingerprint(), Subject: t.CertificateSubject, AnySubject: t.CertificateSubject == ""})
		}
	}
	if t.TrustedRoot != "" || t.Identity != "" || p.RequireLog || p.LogThreshold > 1 || p.TimeThreshold > 1 {
		var err error
		if roots.Sigstore, err = loadSigstore(t.TrustedRoot, t.TrustDir); err != nil {
			return roots, p, err
		}
	}
	if t.Identity != "" {
		p.Signers = append(p.Signers, trust.Identity{Issuer: t.IdentityProvider, Subject: t.Identity})
	}
	return roots, p, nil
}

// readSmall reads a key, certificate, trusted root or configuration, at most trust.MaxFile bytes.
func readSmall(path string) ([]byte, error) { return readAtMost(path, trust.MaxFile) }

// readAtMost reads a file; one of more bytes than most is an error.
func readAtMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("read %s: larger than %d bytes", path, most)
	}
	return data, nil
}
