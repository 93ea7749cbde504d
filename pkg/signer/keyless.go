package signer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/sigstore/sigstore-go/pkg/root"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// DefaultTimeout is what one step over the network may take where the options' Timeout is zero.
const DefaultTimeout = 2 * time.Minute

// KeylessOptions says how to sign keyless. Token, TrustedRoot and SigningConfig are required.
type KeylessOptions struct {
	// Token returns the OIDC identity token to ask for a certificate with. It is called when one is needed, not before,
	// and must return once its context is done. The token goes to the certificate authority and nowhere else.
	Token func(context.Context) (string, error)

	TrustedRoot   *trust.Sigstore // what the servers' answers are checked against
	SigningConfig []byte          // signing_config.json, v0.2: the servers to use

	Timeout   time.Duration     // for each step over the network, with its repetitions; 0: DefaultTimeout
	Now       func() time.Time  // the clock; nil: time.Now
	Transport http.RoundTripper // how to reach the servers; nil: http.DefaultTransport
}

// keyless signs with a fresh key that a Fulcio certificate binds to an identity for a few minutes.
type keyless struct {
	network
	options KeylessOptions
	config  *root.SigningConfig

	// current is the identity of the last certificate; nil where there is none yet. It is renewed by whoever holds turn,
	// a lock that a context can leave.
	current atomic.Pointer[identity]
	turn    chan struct{}
}

// NewKeyless returns a Signer that gets a certificate from Fulcio for an identity token and has each signature
// timestamped and logged, by the servers in the signing config. A config that leaves any of that impossible now is an
// error; nothing is dialled before Sign.
//
// One certificate serves every Sign until a minute before it expires, so a hundred bundles cost one token; it goes on
// naming the identity of the token that it was made for. Sign checks the servers' answers and the finished bundle
// against the trusted root, and its errors wrap a *ServerError where a server is to blame.
func NewKeyless(o KeylessOptions) (Signer, error) {
	switch {
	case o.Token == nil:
		return nil, errors.New("sign keyless: there is no identity token to ask for")
	case o.TrustedRoot == nil || o.TrustedRoot.Material() == nil:
		return nil, fmt.Errorf("sign keyless: trusted root: %w", trust.ErrNobody)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	way, err := newNetwork(o.Timeout, o.Transport)
	if err != nil {
		return nil, fmt.Errorf("sign keyless: %w", err)
	}
	config, err := parseConfig(o.SigningConfig)
	if err != nil {
		return nil, fmt.Errorf("sign keyless: %w", err)
	}
	if _, err := selectServices(config, o.Now()); err != nil {
		return nil, fmt.Errorf("sign keyless: %w", err)
	}
	return &keyless{network: way, options: o, config: config, turn: make(chan struct{}, 1)}, nil
}

// Roots implements Signer.
func (k *keyless) Roots() trust.Roots {
	return trust.Roots{Sigstore: k.options.TrustedRoot, Now: k.options.Now}
}

// Identify gets the certificate for the signatures that follow, where there is none that is still good: several that are
// then made at the same time have it between them, and a token that is refused was sent once.
func (k *keyless) Identify(ctx context.Context) error {
	servers, err := selectServices(k.config, k.options.Now())
	if err == nil {
		_, err = k.identity(ctx, servers.authority)
	}
	if err != nil {
		return fmt.Errorf("sign keyless: %w", err)
	}
	return nil
}

// Sign implements Signer.
func (k *keyless) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	if err := checkPayload(payloadType, payload); err != nil {
		return nil, fmt.Errorf("sign payload: %w", err)
	}
	return k.sign(ctx, dsse.PAE(payloadType, payload), func(b *protobundle.Bundle, sig, _ []byte) {
		b.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: protoEnvelope(payloadType, payload, sig)}
	})
}

// sign signs message and returns the bundle into which put puts the signature and the digest that was signed.
func (k *keyless) sign(ctx context.Context, message []byte, put func(b *protobundle.Bundle, sig, digest []byte)) ([]byte, error) {
	servers, err := selectServices(k.config, k.options.Now())
	if err != nil {
		return nil, fmt.Errorf("sign keyless: %w", err)
	}
	id, err := k.identity(ctx, servers.authority)
	if err != nil {
		return nil, fmt.Errorf("sign keyless: %w", err)
	}
	raw, err := k.signAs(ctx, id, servers, message, put)
	if isConflict(err) {
		// A Rekor v2 log holds this very entry already: an earlier try was logged and its answer lost. Nobody can read
		// the entry back there, but a new signature is a new entry.
		raw, err = k.signAs(ctx, id, servers, message, put)
	}
	if err != nil {
		return nil, fmt.Errorf("sign keyless: %w", err)
	}
	return raw, nil
}

// signAs makes one bundle with id's certificate: signature, timestamps, log entries, in this order, since the
// timestamps are on the signature and a public log should hold nothing that was not finished.
func (k *keyless) signAs(ctx context.Context, id *identity, servers services, message []byte, put func(b *protobundle.Bundle, sig, digest []byte)) ([]byte, error) {
	sig, digest, err := id.keypair.SignData(ctx, message)
	if err != nil {
		return nil, fmt.Errorf("sign payload: %w", err)
	}
	material := &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_Certificate{
			Certificate: &protocommon.X509Certificate{RawBytes: id.leaf.Raw},
		},
	}
	b := &protobundle.Bundle{MediaType: bundleMediaType, VerificationMaterial: material}
	put(b, sig, digest)
	for _, server := range servers.timestamps {
		if err := k.stamp(ctx, server, id.leaf, sig, b); err != nil {
			if errors.Is(err, errOutside) {
				k.current.CompareAndSwap(id, nil) // the next Sign gets a new certificate
			}
			return nil, err
		}
	}
	for _, server := range servers.logs {
		if err := k.enter(ctx, server, id.leaf, b); err != nil {
			return nil, err
		}
	}
	if err := checkBundle(b, k.options.TrustedRoot.Material(), servers); err != nil {
		// The certificate may be the reason: the next Sign gets a new one.
		k.current.CompareAndSwap(id, nil)
		return nil, fmt.Errorf("check the new bundle: %w", err)
	}
	raw, err := encoding.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	return raw, nil
}

// protoEnvelope is a signature in DSSE as sigstore-go has it.
func protoEnvelope(payloadType string, payload, sig []byte) *protodsse.Envelope {
	return &protodsse.Envelope{Payload: payload, PayloadType: payloadType, Signatures: []*protodsse.Signature{{Sig: sig}}}
}

// encoding writes zeros and empty lists out: sigstore-python takes no bundle without them, and the first entry of a log
// has the index 0 and no hashes.
var encoding = protojson.MarshalOptions{EmitDefaultValues: true}

// pause waits for d or for ctx, whichever is over first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
