package signer

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// WitnessOptions says who is to vouch for signatures by a key or certificate. TrustedRoot is required, and one of
// TimestampURLs and SigningConfig.
type WitnessOptions struct {
	// TrustedRoot is what the witnesses' answers are checked against, before anything is returned.
	TrustedRoot *trust.Sigstore

	// TimestampURLs are RFC 3161 timestamp authorities, each asked for a timestamp on every signature. They take the
	// place of the signing config's.
	TimestampURLs []string

	// SigningConfig is signing_config.json, v0.2: the transparency logs that every signature is entered into, and the
	// timestamp authorities. Its certificate authorities and identity providers are not used. Empty: no log.
	SigningConfig []byte

	Timeout   time.Duration     // for each step over the network, with its repetitions; 0: DefaultTimeout
	Now       func() time.Time  // the clock, by which the servers in the signing config are chosen; nil: time.Now
	Transport http.RoundTripper // how to reach the servers; nil: http.DefaultTransport
}

// witnessed is a key or certificate whose signatures others saw.
type witnessed struct {
	*local
	network
	options  WitnessOptions
	config   *root.SigningConfig // nil: no log
	verifier []byte              // PEM of what signatures verify with
}

// NewWitnessed returns a Signer that signs as by does, a Signer of NewKey or NewCertificate, and has each signature
// timestamped and logged. A timestamp proves that the signature was there at its time, so that it outlives its
// certificate and counts under a key that has a validity window; a log entry makes each use of the key visible.
//
// It is an error if by is keyless, which has its own witnesses, or if the log could never take the key's signatures, as
// Rekor v2 does with Ed25519. Nothing is dialled before Sign, whose errors wrap a *ServerError where a server is to
// blame. Its Roots hold the trusted root beside the key or authority.
func NewWitnessed(by Signer, o WitnessOptions) (Signer, error) {
	l, ok := by.(*local)
	if !ok || l == nil {
		return nil, errors.New("sign with witnesses: they are for a key or a certificate, and this is neither")
	}
	switch {
	case o.TrustedRoot == nil || o.TrustedRoot.Material() == nil:
		return nil, fmt.Errorf("sign with witnesses: trusted root: %w", trust.ErrNobody)
	case len(o.TimestampURLs) == 0 && len(o.SigningConfig) == 0:
		return nil, errors.New("sign with witnesses: neither timestamp authority nor log is given")
	case len(o.TimestampURLs) > trust.MaxTimestamps:
		return nil, fmt.Errorf("sign with witnesses: %d timestamp authorities, at most %d are asked", len(o.TimestampURLs), trust.MaxTimestamps)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	way, err := newNetwork(o.Timeout, o.Transport)
	if err != nil {
		return nil, fmt.Errorf("sign with witnesses: %w", err)
	}
	for _, u := range o.TimestampURLs {
		if err := checkURL(u, false); err != nil {
			return nil, fmt.Errorf("sign with witnesses: timestamp authority %w", err)
		}
	}
	w := &witnessed{local: l, network: way, options: o}
	if w.verifier, err = l.verifierPEM(); err != nil {
		return nil, fmt.Errorf("sign with witnesses: %w", err)
	}
	if len(o.SigningConfig) > 0 {
		if w.config, err = parseConfig(o.SigningConfig); err != nil {
			return nil, fmt.Errorf("sign with witnesses: %w", err)
		}
	}
	if _, err := w.servers(); err != nil {
		return nil, fmt.Errorf("sign with witnesses: %w", err)
	}
	return w, nil
}

// verifierPEM is the certificate or public key that l's signatures verify with.
func (l *local) verifierPEM() ([]byte, error) {
	if l.leaf != nil {
		return certificatePEM(l.leaf), nil
	}
	der, err := x509.MarshalPKIXPublicKey(l.key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// servers picks whom to ask now.
func (w *witnessed) servers() (services, error) {
	var s services
	if w.config != nil {
		var err error
		if s, err = selectWitnesses(w.config, w.options.Now()); err != nil {
			return services{}, err
		}
	}
	if len(w.options.TimestampURLs) > 0 {
		s.timestamps = slices.Clone(w.options.TimestampURLs)
	}
	for _, l := range s.logs {
		switch hash := trust.SignatureHash(w.key.Public()); {
		case l.MajorAPIVersion == rekorV2 && hash == 0:
			return services{}, fmt.Errorf("the log %q takes no Ed25519 signatures on a whole message: use an ECDSA or RSA key", l.URL)
		case l.MajorAPIVersion != rekorV2 && hash > crypto.SHA256: // Rekor v1 verifies envelopes so, whatever the curve
			return services{}, fmt.Errorf("the log %q takes signatures by SHA-256 only: use an ECDSA P-256 or RSA key", l.URL)
		}
	}
	return s, nil
}

// Roots implements Signer.
func (w *witnessed) Roots() trust.Roots {
	roots := w.roots
	roots.Sigstore = w.options.TrustedRoot
	return roots
}

// Stamp returns an RFC 3161 response on message, for a statement to hold: what is signed with it inside was not signed
// before. Without a timestamp authority it returns nil and no error.
func (w *witnessed) Stamp(ctx context.Context, message []byte) ([]byte, error) {
	servers, err := w.servers()
	if err != nil || len(servers.timestamps) == 0 {
		return nil, err
	}
	return w.timestamp(ctx, servers.timestamps[0], message, w.options.TrustedRoot)
}

// Sign implements Signer.
func (w *witnessed) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	return w.witness(ctx, func(ctx context.Context) (content, error) { return w.sign(ctx, payloadType, payload) })
}

// witness has others see what sign makes, and returns the bundle.
func (w *witnessed) witness(ctx context.Context, sign func(context.Context) (content, error)) ([]byte, error) {
	servers, err := w.servers()
	if err != nil {
		return nil, fmt.Errorf("sign payload: %w", err)
	}
	raw, err := w.witnessOnce(ctx, servers, sign)
	if isConflict(err) { // as with keyless signing: a new signature is a new entry
		if raw, err = w.witnessOnce(ctx, servers, sign); isConflict(err) {
			err = fmt.Errorf("%w (a key of this kind signs the same payload alike each time: an ECDSA key does not)", err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("sign payload: %w", err)
	}
	return raw, nil
}

// witnessOnce makes one bundle: signature, timestamps, log entries, in this order, since the timestamps are on the
// signature and a public log should hold nothing that was not finished.
func (w *witnessed) witnessOnce(ctx context.Context, servers services, sign func(context.Context) (content, error)) ([]byte, error) {
	c, err := sign(ctx)
	if err != nil {
		return nil, err
	}
	m := w.material
	for _, server := range servers.timestamps {
		answer, err := w.timestamp(ctx, server, c.signature(), w.options.TrustedRoot)
		if err != nil {
			return nil, err
		}
		if m.Stamps == nil {
			m.Stamps = &stamps{}
		}
		m.Stamps.RFC3161 = append(m.Stamps.RFC3161, stamp{answer})
	}
	for _, server := range servers.logs {
		entry, err := w.enter(ctx, server, c)
		if err != nil {
			return nil, err
		}
		m.LogEntries = append(m.LogEntries, entry)
	}
	return encodeBundle(m, c)
}

// enter has a signature entered into one log and returns the log's entry as JSON, checked.
func (w *witnessed) enter(ctx context.Context, server root.Service, c content) ([]byte, error) {
	b := &protobundle.Bundle{MediaType: bundleMediaType, VerificationMaterial: &protobundle.VerificationMaterial{}}
	logged := trust.Logged{MediaType: bundleMediaType, Signature: c.signature(), Leaf: w.leaf, Key: w.key.Public()}
	if c.Message != nil {
		logged.File = c.Message.Digest.Digest
		b.Content = &protobundle.Bundle_MessageSignature{MessageSignature: protoMessage(c.Message.Digest.Digest, c.Message.Signature)}
	} else {
		logged.PayloadType, logged.Payload = c.Envelope.PayloadType, c.Envelope.Payload
		b.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: protoEnvelope(c.Envelope.PayloadType, c.Envelope.Payload, c.signature())}
	}
	if w.leaf != nil { // sigstore-go asks for it to tell whether a key or a certificate is to be logged
		b.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: w.leaf.Raw}}
	}
	if err := w.log(ctx, server, w.verifier, b); err != nil {
		return nil, err
	}
	entry, err := encoding.Marshal(b.VerificationMaterial.TlogEntries[0])
	if err != nil {
		return nil, fmt.Errorf("encode log entry: %w", err)
	}
	logged.Entries = [][]byte{entry}
	if _, err := w.options.TrustedRoot.VerifyLogEntries(logged); err != nil {
		return nil, &ServerError{"log the signature at", server.URL, err}
	}
	return entry, nil
}
