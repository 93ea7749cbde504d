package attestations

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/in-toto/in-toto-golang/in_toto"
	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/secure-systems-lab/go-securesystemslib/signerverifier"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
)

// ErrNoLinkKey is that a link cannot be signed with what a statement can: in-toto knows no certificate chain of a Sigstore
// bundle, no token, and of RSA only PSS, with which nothing is signed here.
var ErrNoLinkKey = errors.New("a link is signed with an ECDSA or Ed25519 key")

// Link is in-toto's record of one step (in-toto v1.0, 4.4): which files went in, which came out, by which command. It is for
// who verifies a layout with in-toto's own tools; nothing here reads one.
type Link struct {
	step in_toto.Link
}

// NewLink returns the link of a step of this name without any files. command has no secrets any more.
func NewLink(name string, command []string) *Link {
	return &Link{in_toto.Link{Type: "link", Name: name, Command: command, Materials: map[string]in_toto.HashObj{}, Products: map[string]in_toto.HashObj{},
		ByProducts: map[string]any{"return-value": 0}, Environment: map[string]any{}}}
}

// AddMaterials adds the files of an input, AddProducts those of what was made. A directory's are called NAME/FILE, a single
// file NAME.
func (l *Link) AddMaterials(name string, single bool, files []manifest.File) {
	addFiles(l.step.Materials, name, single, files)
}

// AddProducts is AddMaterials for what came out.
func (l *Link) AddProducts(name string, single bool, files []manifest.File) {
	addFiles(l.step.Products, name, single, files)
}

// AddCommit adds a git commit as a material.
func (l *Link) AddCommit(name, commit string) {
	l.step.Materials[name] = in_toto.HashObj{string(ClassGitCommit): commit}
}

func addFiles(to map[string]in_toto.HashObj, name string, single bool, files []manifest.File) {
	for _, f := range files {
		at := name
		if !single {
			at = path.Join(name, f.Name)
		}
		to[at] = in_toto.HashObj{string(hashing.SHA256): f.SHA256.Hex()}
	}
}

// CheckLinkSigner returns ErrNoLinkKey where Sign would not take by.
func CheckLinkSigner(by signer.Signer) error {
	_, err := linkKey(by)
	return err
}

// Sign returns the link as in-toto's tools read it: a DSSE envelope by by's key under the name that in-toto has for it. It is
// verified before it is returned.
func (l *Link) Sign(ctx context.Context, by signer.Signer) ([]byte, error) {
	key, err := linkKey(by)
	if err != nil {
		return nil, fmt.Errorf("sign link: %w", err)
	}
	payload, err := cjson.EncodeCanonical(l.step)
	if err != nil {
		return nil, fmt.Errorf("encode link: %w", err)
	}
	raw, err := by.Sign(ctx, in_toto.PayloadType, payload)
	if err != nil {
		return nil, fmt.Errorf("sign link: %w", err)
	}
	var bundle struct {
		Envelope dsse.Envelope `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(raw, &bundle); err != nil || len(bundle.Envelope.Signatures) != 1 {
		return nil, fmt.Errorf("sign link: the bundle is none of one signature: %w", err)
	}
	bundle.Envelope.Signatures[0].KeyID = key.KeyID
	if err := verifyLink(ctx, key, &bundle.Envelope); err != nil {
		return nil, fmt.Errorf("verify the new link: %w", err)
	}
	raw, err = json.Marshal(bundle.Envelope, jsontext.WithIndent("  "))
	return append(raw, '\n'), err
}

// linkKey is the public key of by as in-toto has it.
func linkKey(by signer.Signer) (in_toto.Key, error) {
	var key in_toto.Key
	roots := by.Roots()
	if len(roots.Keys) != 1 {
		return key, ErrNoLinkKey
	}
	public := roots.Keys[0].Public()
	scheme := ""
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		scheme = fmt.Sprintf("ecdsa-sha2-nistp%d", k.Params().BitSize)
	case ed25519.PublicKey:
		scheme = "ed25519"
	default:
		return key, ErrNoLinkKey
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return key, err
	}
	err = key.LoadKeyReader(bytes.NewReader(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), scheme, []string{"sha256", "sha512"})
	return key, err
}

func verifyLink(ctx context.Context, key in_toto.Key, e *dsse.Envelope) error {
	known := &signerverifier.SSLibKey{KeyID: key.KeyID, KeyType: key.KeyType, Scheme: key.Scheme, KeyIDHashAlgorithms: key.KeyIDHashAlgorithms,
		KeyVal: signerverifier.KeyVal{Public: key.KeyVal.Public}}
	var verifier dsse.SignerVerifier
	var err error
	if strings.HasPrefix(key.Scheme, "ecdsa") {
		verifier, err = signerverifier.NewECDSASignerVerifierFromSSLibKey(known)
	} else {
		verifier, err = signerverifier.NewED25519SignerVerifierFromSSLibKey(known)
	}
	if err != nil {
		return err
	}
	all, err := dsse.NewEnvelopeVerifier(verifier)
	if err != nil {
		return err
	}
	_, err = all.Verify(ctx, e)
	return err
}
