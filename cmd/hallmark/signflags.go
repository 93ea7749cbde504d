package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/token"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/pkg/trust/store"
)

// signFlags is what to sign with.
type signFlags struct {
	PrivateKey         string
	PasswordEnv        string
	SigningCertificate string
	CertificateChain   []string
	TrustedRoot        string
	TrustDir           string
	SigningConfig      string
	TimestampURLs      []string
	Timeout            time.Duration

	identity identityFlags
}

func (o *signFlags) bind(f *pflag.FlagSet) {
	o.bindSigner(f)
	f.StringArrayVar(&o.CertificateChain, "certificate-chain", nil, "PEM `FILE` with the CA certificates above it (repeats)")
	f.StringVar(&o.TrustedRoot, "trusted-root", "", "keyless, --tsa-url and --signing-config: Sigstore trusted_root.json `FILE`, against which the servers' answers are checked, instead of the imported one (hallmark trust)")
	bindTrustDir(f, &o.TrustDir)
	f.DurationVar(&o.Timeout, "timeout", 2*time.Minute, "longest `TIME` of one network step; hashing has no limit")
}

// bindSigner binds what no other flags of a command that verifies have too.
func (o *signFlags) bindSigner(f *pflag.FlagSet) {
	f.StringVar(&o.PrivateKey, "private-key", "", "PEM `FILE` with the private key to sign with, or the URI of a key elsewhere: awskms://…, gcpkms://…, azurekms://…, hashivault://…, pkcs11:…")
	f.StringVar(&o.PasswordEnv, "password-env", "", "environment `VARIABLE` with the private key's password; else a terminal is asked")
	f.StringVar(&o.SigningCertificate, "signing-certificate", "", "PEM `FILE` with the certificate of --private-key")
	o.identity.bind(f)
	f.StringVar(&o.SigningConfig, "signing-config", "", "Sigstore signing_config.json `FILE`: the servers for keyless, instead of those imported with the trusted root (hallmark trust); with --private-key, the transparency logs and timestamp authorities")
	f.StringArrayVar(&o.TimestampURLs, "tsa-url", nil, "with --private-key: `URL` of a timestamp authority (RFC 3161) to have signatures timestamped by, instead of the signing config's (repeats)")
}

// load returns the signer that the flags name. It asks for a password where one is needed.
func (o *signFlags) load(ctx context.Context, s streams) (signer.Signer, error) {
	keyless := o.identity.wanted()
	switch {
	case o.PrivateKey != "" && keyless:
		return nil, usagef("--private-key and an identity token are two ways to sign: use one")
	case o.PrivateKey == "" && (o.SigningCertificate != "" || len(o.CertificateChain) > 0):
		return nil, usagef("--signing-certificate and --certificate-chain need --private-key")
	case o.SigningCertificate == "" && len(o.CertificateChain) > 0:
		return nil, usagef("--certificate-chain needs --signing-certificate")
	case o.PrivateKey == "" && len(o.TimestampURLs) > 0:
		return nil, usagef("--tsa-url needs --private-key: keyless signing takes its timestamp authorities from --signing-config")
	case o.PrivateKey != "":
		by, err := o.loadKey(ctx, s)
		if err != nil {
			return nil, err
		}
		return o.addWitnesses(by)
	}
	by, err := o.loadKeyless(s)
	if keyless || o.SigningConfig != "" { // keyless was asked for: what is missing is the whole story
		return by, err
	}
	switch {
	case errors.Is(err, store.ErrNone), errors.Is(err, errNoServers):
		err = usageError{hintError{errors.New("nothing to sign with"),
			"--private-key FILE (hallmark keygen makes one); keyless, hallmark trust update or --trusted-root FILE --signing-config FILE"}}
	case errors.Is(err, token.ErrNone):
		err = usageError{hintError{fmt.Errorf("nothing to sign with: no key is named, and %w", token.ErrNone),
			"--private-key FILE; keyless, --identity-token-file FILE, or a CI job's permission to get a token"}}
	}
	return by, err
}

func (o *signFlags) loadKey(ctx context.Context, s streams) (signer.Signer, error) {
	key, err := o.openKey(ctx, s)
	if err != nil {
		return nil, err
	}
	if o.SigningCertificate == "" {
		return signer.NewKey(key)
	}
	data, err := readSmall(o.SigningCertificate)
	if err != nil {
		return nil, err
	}
	leaf, err := trust.ParseCertificates(data)
	if err != nil {
		return nil, usagef("--signing-certificate %s: %w", o.SigningCertificate, err)
	}
	chain := leaf[1:]
	for _, path := range o.CertificateChain {
		if data, err = readSmall(path); err != nil {
			return nil, err
		}
		certs, err := trust.ParseCertificates(data)
		if err != nil {
			return nil, usagef("--certificate-chain %s: %w", path, err)
		}
		chain = append(chain, certs...)
	}
	by, err := signer.NewCertificate(key, leaf[0], chain)
	if err != nil {
		return nil, usagef("--signing-certificate %s: %w", o.SigningCertificate, err)
	}
	return by, nil
}

// password comes from the environment, or from a terminal if there is one. Nothing is asked anywhere else.
func (o *signFlags) password(s streams) ([]byte, error) {
	if o.PasswordEnv != "" {
		if value := os.Getenv(o.PasswordEnv); value != "" {
			return []byte(value), nil
		}
		return nil, fmt.Errorf("environment variable %s is empty", o.PasswordEnv)
	}
	f, ok := s.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, errors.New("the key is encrypted, and there is no terminal to ask for its password: use --password-env")
	}
	fmt.Fprintf(s.err, "password for %s: ", o.PrivateKey)
	password, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(s.err)
	return password, err
}
