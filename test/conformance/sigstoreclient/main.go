// Command sigstoreclient is the adapter through which the public Sigstore conformance suite drives Hallmark: sign-bundle
// and verify-bundle, with an exit code for an answer. What it does goes through the library that the command line uses.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/pkg/trust/store"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sigstoreclient:", err)
		os.Exit(1)
	}
}

// maxInput caps a file to sign and a bundle, in bytes.
const maxInput = 64 << 20

// request is a command line.
type request struct {
	staging, inToto                  bool
	bundle, trustedRoot, config, key string
	identity, issuer, token          string
	input                            string // the file, or for verify-bundle also its digest
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("sign-bundle or verify-bundle?")
	}
	r, err := parse(args[0], args[1:])
	if err != nil {
		return err
	}
	switch args[0] {
	case "sign-bundle":
		return r.sign(ctx)
	case "verify-bundle":
		_, err := r.verify()
		return err
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func parse(name string, args []string) (*request, error) {
	var r request
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.BoolVar(&r.staging, "staging", false, "the staging instance, not the public-good one")
	f.BoolVar(&r.inToto, "in-toto", false, "the file is an in-toto statement")
	f.StringVar(&r.bundle, "bundle", "", "bundle to write or verify")
	f.StringVar(&r.identity, "certificate-identity", "", "who must have signed")
	f.StringVar(&r.issuer, "certificate-oidc-issuer", "", "who vouches for the identity")
	f.StringVar(&r.key, "key", "", "PEM file with the public key that must have signed")
	f.StringVar(&r.token, "identity-token", "", "OIDC token")
	f.StringVar(&r.trustedRoot, "trusted-root", "", "trusted_root.json")
	f.StringVar(&r.config, "signing-config", "", "signing_config.json")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() != 1 || r.bundle == "" {
		return nil, fmt.Errorf("want --bundle and one file, got arguments %q", f.Args())
	}
	r.input = f.Arg(0)
	return &r, nil
}

// errNotThem refuses a bundle that holds and is by somebody else.
var errNotThem = errors.New("signed by somebody else")

func (r *request) verify() (*attestations.SignedBlob, error) {
	roots, wanted, err := r.trust()
	if err != nil {
		return nil, err
	}
	sum, err := digest(r.input)
	if err != nil {
		return nil, err
	}
	bundle, err := read(r.bundle)
	if err != nil {
		return nil, err
	}
	signed, err := attestations.OpenBlob(bundle, sum, roots)
	if err != nil {
		return nil, err
	}
	if !wanted.Matches(signed.Signer()) {
		return nil, fmt.Errorf("%w: %s, not %s", errNotThem, signed.Signer(), wanted)
	}
	return signed, nil
}

// trust is what opens the bundle, and who must have signed it.
func (r *request) trust() (roots trust.Roots, wanted trust.Identity, err error) {
	if (r.key == "") == (r.identity == "" && r.issuer == "") {
		return roots, wanted, errors.New("want either --key or --certificate-identity and --certificate-oidc-issuer")
	}
	if r.key != "" {
		data, err := read(r.key)
		if err != nil {
			return roots, wanted, err
		}
		k, err := trust.LoadKey(data)
		if err != nil {
			return roots, wanted, err
		}
		roots.Keys, wanted.Key = []trust.Key{k}, k.Fingerprint()
		if r.trustedRoot == "" { // the key says it all
			return roots, wanted, nil
		}
	} else {
		wanted.Subject, wanted.Issuer = r.identity, r.issuer
	}
	if err := wanted.Validate(); err != nil {
		return roots, wanted, err
	}
	roots.Sigstore, err = r.sigstore()
	return roots, wanted, err
}

// errInstance says that the imported trusted root is not the one that was asked for.
var errInstance = errors.New("the imported trusted root is of another instance")

// sigstore is the trusted root that was named, else the imported one.
func (r *request) sigstore() (*trust.Sigstore, error) {
	if r.trustedRoot == "" {
		imported, err := r.imported()
		if err != nil {
			return nil, err
		}
		return imported.Sigstore, nil
	}
	data, err := read(r.trustedRoot)
	if err != nil {
		return nil, err
	}
	return trust.LoadSigstore(data)
}

// imported is the imported trusted root. The suite's two instances are told apart by the mirror that it came from; this
// program fetches nothing itself.
func (r *request) imported() (*store.Root, error) {
	at := store.Store{Dir: os.Getenv("HALLMARK_TRUST_DIR")}
	if at.Dir == "" {
		var err error
		if at.Dir, err = store.DefaultDir(); err != nil {
			return nil, err
		}
	}
	wanted := store.PublicGood
	if r.staging {
		wanted = store.Staging
	}
	root, err := at.Load()
	if err == nil && r.staging != (root.Mirror == store.Staging) {
		err = errInstance
	}
	if err != nil {
		return nil, fmt.Errorf("%w: want --trusted-root, or hallmark trust update --mirror %s", err, wanted)
	}
	return at.Current()
}

// servers is the signing config that was named, else the one that came with the imported trusted root.
func (r *request) servers() ([]byte, error) {
	if r.config != "" {
		return read(r.config)
	}
	if r.trustedRoot != "" {
		return nil, errNoServers
	}
	imported, err := r.imported()
	if err == nil && imported.SigningConfig == nil {
		err = errNoServers
	}
	if err != nil {
		return nil, err
	}
	return imported.SigningConfig, nil
}

var errNoServers = errors.New("want --signing-config: which servers to use")

// digest is the SHA-256 of a file, or what the argument says it is.
func digest(input string) (hashing.Sum, error) {
	if sum, err := hashing.ParseSum(input); err == nil {
		return sum, nil
	}
	data, err := read(input)
	if err != nil {
		return hashing.Sum{}, err
	}
	return sha256.Sum256(data), nil
}

// sign signs the file's bytes, or the in-toto statement that the file is, and opens the bundle before it is written.
func (r *request) sign(ctx context.Context) error {
	by, err := r.signer()
	if err != nil {
		return err
	}
	data, err := read(r.input)
	if err != nil {
		return err
	}
	var bundle []byte
	if r.inToto {
		if bundle, err = by.Sign(ctx, attestations.PayloadType, data); err == nil {
			_, err = attestations.Open(bundle, by.Roots())
		}
	} else if bundle, err = by.SignBlob(ctx, data); err == nil {
		_, err = attestations.OpenBlob(bundle, sha256.Sum256(data), by.Roots())
	}
	if err != nil {
		return err
	}
	return os.WriteFile(r.bundle, bundle, 0o644)
}

func (r *request) signer() (signer.BlobSigner, error) {
	root, err := r.sigstore()
	if err != nil {
		return nil, err
	}
	config, err := r.servers()
	if err != nil {
		return nil, err
	}
	by, err := signer.NewKeyless(signer.KeylessOptions{
		Token:       func(context.Context) (string, error) { return r.token, nil },
		TrustedRoot: root, SigningConfig: config,
	})
	if err != nil {
		return nil, err
	}
	blobs, ok := by.(signer.BlobSigner)
	if !ok {
		return nil, errors.New("this signer signs statements alone")
	}
	return blobs, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxInput+1))
	if err == nil && len(data) > maxInput {
		err = fmt.Errorf("read %s: larger than %d bytes", path, maxInput)
	}
	return data, err
}
