package attestations_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/digitorus/timestamp"
	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/google/certificate-transparency-go/x509util"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
	signing "github.com/sigstore/sigstore/pkg/signature"
	f_log "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// signedAt is when everything in these tests is signed.
var signedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// party runs a log and a timestamp authority at its host.
type party struct {
	host    string
	log     *ecdsa.PrivateKey
	stamps  *ecdsa.PrivateKey
	stamper *x509.Certificate
}

// instance is a Sigstore instance with several parties, and an ephemeral key that its CA certified.
type instance struct {
	t       testing.TB
	ca      *x509.Certificate
	caKey   *ecdsa.PrivateKey
	ctlog   *ecdsa.PrivateKey
	key     *ecdsa.PrivateKey
	leaf    *x509.Certificate
	parties map[string]*party
}

func newInstance(t testing.TB, hosts ...string) *instance {
	t.Helper()
	i := &instance{t: t, caKey: i256(t), ctlog: i256(t), key: i256(t), parties: map[string]*party{}}
	i.ca = i.issue(x509.Certificate{
		Subject: pkix.Name{CommonName: "fulcio", Organization: []string{"sigstore.dev"}}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}, nil, i.caKey, i.caKey)
	i.leaf = i.certify()
	for _, host := range hosts {
		p := &party{host: host, log: i256(t), stamps: i256(t)}
		eku := must[[]byte](t)(asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}}))
		p.stamper = i.issue(x509.Certificate{
			Subject: pkix.Name{CommonName: "tsa " + host}, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: eku}},
		}, nil, p.stamps, p.stamps)
		i.parties[host] = p
	}
	return i
}

func i256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

func (i *instance) issue(template x509.Certificate, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	i.t.Helper()
	template.SerialNumber = big.NewInt(1)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = signedAt.Add(-24*time.Hour), signedAt.Add(365*24*time.Hour)
	}
	if parent == nil {
		parent = &template
	}
	der := must[[]byte](i.t)(x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), by))
	return must[*x509.Certificate](i.t)(x509.ParseCertificate(der))
}

// certify issues a certificate with an embedded SCT (RFC 6962 §3.2): made once without, signed for by the log, made again.
func (i *instance) certify() *x509.Certificate {
	template := x509.Certificate{
		NotBefore: signedAt.Add(-time.Minute), NotAfter: signedAt.Add(9 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		EmailAddresses:  []string{"ann@example.com"},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte("https://issuer.test")}},
	}
	before := i.issue(template, i.ca, i.key, i.caKey)
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: keyDigest(i.t, i.ctlog)}, Timestamp: uint64(signedAt.UnixMilli())}
	input := must[[]byte](i.t)(ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: ct.MerkleTreeLeaf{TimestampedEntry: &ct.TimestampedEntry{
		Timestamp: sct.Timestamp, EntryType: ct.PrecertLogEntryType, PrecertEntry: &ct.PreCert{
			IssuerKeyHash: sha256.Sum256(i.ca.RawSubjectPublicKeyInfo), TBSCertificate: before.RawTBSCertificate,
		},
	}}}))
	sum := sha256.Sum256(input)
	sct.Signature = ct.DigitallySigned{
		Algorithm: cttls.SignatureAndHashAlgorithm{Hash: cttls.SHA256, Signature: cttls.ECDSA},
		Signature: must[[]byte](i.t)(ecdsa.SignASN1(rand.Reader, i.ctlog, sum[:])),
	}
	scts := must[*ctx509.SignedCertificateTimestampList](i.t)(x509util.MarshalSCTsIntoSCTList([]*ct.SignedCertificateTimestamp{&sct}))
	list := must[[]byte](i.t)(asn1.Marshal(must[[]byte](i.t)(cttls.Marshal(*scts))))
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: list})
	return i.issue(template, i.ca, i.key, i.caKey)
}

func keyDigest(t testing.TB, key *ecdsa.PrivateKey) [32]byte {
	t.Helper()
	return sha256.Sum256(must[[]byte](t)(x509.MarshalPKIXPublicKey(key.Public())))
}

// roots trusts every party of the instance.
func (i *instance) roots() trust.Roots {
	i.t.Helper()
	log := func(key *ecdsa.PrivateKey, host string) (string, *root.TransparencyLog) {
		id := keyDigest(i.t, key)
		return hex.EncodeToString(id[:]), &root.TransparencyLog{
			BaseURL: "https://" + host, ID: id[:], HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
			PublicKey: key.Public(), ValidityPeriodStart: signedAt.Add(-24 * time.Hour),
		}
	}
	logs, ctlogs := map[string]*root.TransparencyLog{}, map[string]*root.TransparencyLog{}
	id, l := log(i.ctlog, "ct.test")
	ctlogs[id] = l
	var stamps []root.TimestampingAuthority
	for _, p := range i.parties {
		id, l := log(p.log, p.host)
		logs[id] = l
		stamps = append(stamps, &root.SigstoreTimestampingAuthority{Root: p.stamper, URI: "https://" + p.host + "/tsa"})
	}
	material := must[*root.TrustedRoot](i.t)(root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: i.ca, URI: "https://fulcio.test"}}, ctlogs, stamps, logs))
	return trust.Roots{Sigstore: must[*trust.Sigstore](i.t)(trust.NewSigstore(material))}
}

// sign returns a bundle over a statement about file, with an entry of each log and a timestamp of each authority named.
func (i *instance) sign(file hashing.Sum, logs, stamps []string) attestations.Bundle {
	i.t.Helper()
	return i.seal([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"f","digest":{"sha256":"`+file.Hex()+
		`"}}],"predicateType":"https://example.com/p","predicate":{}}`), logs, stamps)
}

// seal is sign for any statement.
func (i *instance) seal(payload []byte, logs, stamps []string) attestations.Bundle {
	i.t.Helper()
	message := dsse.PAE(attestations.PayloadType, payload)
	digest := sha256.Sum256(message)
	sig := must[[]byte](i.t)(ecdsa.SignASN1(rand.Reader, i.key, digest[:]))
	material := &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: i.leaf.Raw}},
	}
	seen := map[string]int64{}
	for _, host := range logs {
		material.TlogEntries = append(material.TlogEntries, i.entry(i.parties[host], seen[host], digest[:], sig))
		seen[host]++
	}
	material.TimestampVerificationData = &protobundle.TimestampVerificationData{}
	for _, host := range stamps {
		stamp := timestamp.Timestamp{HashAlgorithm: crypto.SHA256, Time: signedAt, SerialNumber: big.NewInt(1), Policy: asn1.ObjectIdentifier{1, 2, 3}, AddTSACertificate: true}
		over := sha256.Sum256(sig)
		stamp.HashedMessage = over[:]
		token := must[[]byte](i.t)(stamp.CreateResponseWithOpts(i.parties[host].stamper, i.parties[host].stamps, crypto.SHA256))
		material.TimestampVerificationData.Rfc3161Timestamps = append(material.TimestampVerificationData.Rfc3161Timestamps,
			&protocommon.RFC3161SignedTimestamp{SignedTimestamp: token})
	}
	return must[[]byte](i.t)(protojson.Marshal(&protobundle.Bundle{
		MediaType: attestations.BundleMediaType, VerificationMaterial: material,
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: payload, PayloadType: attestations.PayloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	}))
}

// entry is the signature at an index of a log that holds it twice and nothing else.
func (i *instance) entry(p *party, index int64, digest, sig []byte) *protorekor.TransparencyLogEntry {
	body := must[[]byte](i.t)(jsoncanonicalizer.Transform(must[[]byte](i.t)(protojson.Marshal(&rekortiles.Entry{
		ApiVersion: "0.0.2", Kind: "hashedrekord",
		Spec: &rekortiles.Spec{Spec: &rekortiles.Spec_HashedRekordV002{HashedRekordV002: &rekortiles.HashedRekordLogEntryV002{
			Data: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: digest},
			Signature: &rekortiles.Signature{Content: sig, Verifier: &rekortiles.Verifier{
				Verifier:   &rekortiles.Verifier_X509Certificate{X509Certificate: &protocommon.X509Certificate{RawBytes: i.leaf.Raw}},
				KeyDetails: protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
			}},
		}}},
	}))))
	leaf := rfc6962.DefaultHasher.HashLeaf(body)
	top := rfc6962.DefaultHasher.HashChildren(leaf, leaf)
	key := must[signing.SignerVerifier](i.t)(signing.LoadECDSASignerVerifier(p.log, crypto.SHA256))
	by := must[note.Signer](i.t)(rekornote.NewNoteSigner(context.Background(), p.host, key))
	checkpoint := must[[]byte](i.t)(note.Sign(&note.Note{Text: string(f_log.Checkpoint{Origin: p.host, Size: 2, Hash: top}.Marshal())}, by))
	id := keyDigest(i.t, p.log)
	return &protorekor.TransparencyLogEntry{
		LogIndex: index, LogId: &protocommon.LogId{KeyId: id[:]}, KindVersion: &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
		InclusionProof: &protorekor.InclusionProof{
			LogIndex: index, TreeSize: 2, RootHash: top, Hashes: [][]byte{leaf}, Checkpoint: &protorekor.Checkpoint{Envelope: string(checkpoint)},
		},
		CanonicalizedBody: body,
	}
}

// TestOpenCountsPartiesNotEntries has a signature logged and timestamped in several ways, and names who stands behind it.
func TestOpenCountsPartiesNotEntries(t *testing.T) {
	i := newInstance(t, "one.test", "log.two.test", "other.two.test")
	roots := i.roots()
	stranger := newInstance(t, "stranger.test").parties["stranger.test"]
	i.parties["stranger.test"] = stranger // after roots: nobody trusts it
	file := hashing.Sum(sha256.Sum256([]byte("f")))
	for name, c := range map[string]struct{ logs, stamps, by, at []string }{
		"one of each":             {[]string{"one.test"}, []string{"one.test"}, []string{"one.test"}, []string{"one.test"}},
		"one log twice":           {[]string{"one.test", "one.test"}, []string{"one.test", "one.test"}, []string{"one.test"}, []string{"one.test"}},
		"two parties":             {[]string{"one.test", "log.two.test"}, []string{"other.two.test", "one.test"}, []string{"one.test", "two.test"}, []string{"one.test", "two.test"}},
		"one party with two logs": {[]string{"log.two.test", "other.two.test"}, []string{"log.two.test", "other.two.test"}, []string{"two.test"}, []string{"two.test"}},
		"a stranger besides":      {[]string{"one.test", "stranger.test"}, []string{"stranger.test", "one.test"}, []string{"one.test"}, []string{"one.test"}},
	} {
		a, err := attestations.Open(i.sign(file, c.logs, c.stamps), roots)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(a.Logs(), c.by) || !slices.Equal(a.Clocks(), c.at) {
			t.Errorf("%s: logged by %q, timed by %q, want %q and %q", name, a.Logs(), a.Clocks(), c.by, c.at)
		}
	}
	for name, c := range map[string]struct {
		logs, stamps []string
		want         policy.Reason
	}{
		"no log":                   {nil, []string{"one.test"}, policy.LogMissing},
		"a stranger's log":         {[]string{"stranger.test"}, []string{"one.test"}, policy.LogUntrusted},
		"no timestamp":             {[]string{"one.test"}, nil, policy.TimeMissing},
		"a stranger's timestamp":   {[]string{"one.test"}, []string{"stranger.test"}, policy.TimeMissing},
		"a damaged entry besides":  {[]string{"one.test", "log.two.test"}, []string{"one.test"}, policy.LogInvalid},
		"the same entry once more": {[]string{"one.test"}, []string{"one.test"}, policy.LogInvalid},
	} {
		bundle := i.sign(file, c.logs, c.stamps)
		if c.want == policy.LogInvalid {
			bundle = i.spoil(bundle, name == "the same entry once more")
		}
		if _, err := attestations.Open(bundle, roots); reason(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// spoil repeats a bundle's first log entry, or damages its last.
func (i *instance) spoil(raw attestations.Bundle, repeat bool) attestations.Bundle {
	var b protobundle.Bundle
	if err := protojson.Unmarshal(raw, &b); err != nil {
		i.t.Fatal(err)
	}
	m := b.VerificationMaterial
	if repeat {
		m.TlogEntries = append(m.TlogEntries, m.TlogEntries[0])
	} else {
		last := m.TlogEntries[len(m.TlogEntries)-1].InclusionProof
		last.Hashes[0] = bytes.Repeat([]byte{1}, 32)
	}
	return must[[]byte](i.t)(protojson.Marshal(&b))
}

func TestOpenBlobOpensAStatementAboutTheFile(t *testing.T) {
	i := newInstance(t, "one.test")
	roots, file := i.roots(), hashing.Sum(sha256.Sum256([]byte("f")))
	bundle := i.sign(file, []string{"one.test"}, []string{"one.test"})
	signed, err := attestations.OpenBlob(bundle, file, roots)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := attestations.Open(bundle, roots)
	if err != nil {
		t.Fatal(err)
	}
	at, source, ok := signed.Time()
	if signed.Signer().Subject != "ann@example.com" || signed.PredicateType() != "https://example.com/p" || signed.Name() != opened.Name() ||
		!ok || source != "timestamped" || !at.Equal(signedAt) {
		t.Errorf("signed by %s, %s, %s at %s", signed.Signer(), signed.PredicateType(), source, at)
	}
	if _, err := attestations.OpenBlob(bundle, sha256.Sum256([]byte("g")), roots); reason(err) != policy.DigestMismatch {
		t.Errorf("another file: %v", err)
	}
	if _, err := attestations.OpenBlob(bundle, file, newInstance(t, "one.test").roots()); reason(err) != policy.LogUntrusted {
		t.Errorf("another instance: %v", err)
	}
	if _, err := attestations.OpenBlob(bundle, file, trust.Roots{}); reason(err) != policy.UntrustedSigner {
		t.Errorf("no trust: %v", err)
	}
}
