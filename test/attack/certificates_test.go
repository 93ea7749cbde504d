package attack

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// certified is a key with its certificate.
type certified struct {
	key  crypto.Signer
	cert *x509.Certificate
}

// pki is an authority, an intermediate under it, and a leaf that certifies the world's key.
type pki struct {
	root, middle certified
	leaf         *x509.Certificate
}

// faults change a certificate before it is issued; nil leaves it sound.
type faults struct {
	root, middle, leaf func(*x509.Certificate)
	leafKey            crypto.Signer // another key to certify than the world's
}

// issue has by certify key. Sound certificates are valid from a day before present to a day after.
func issue(t *testing.T, name string, key crypto.Signer, by *certified, ca bool, fault func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: ca,
		NotBefore: present.Add(-24 * time.Hour), NotAfter: present.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ca {
		c.KeyUsage = x509.KeyUsageCertSign
	}
	if fault != nil {
		fault(c)
	}
	parent, with := c, key
	if by != nil {
		parent, with = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), with)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newPKI(t *testing.T, w *world, f faults) *pki {
	t.Helper()
	var p pki
	p.root.key, p.middle.key = p256(t), p256(t)
	p.root.cert = issue(t, "root", p.root.key, nil, true, f.root)
	p.middle.cert = issue(t, "middle", p.middle.key, &p.root, true, f.middle)
	key := f.leafKey
	if key == nil {
		key = w.key
	}
	p.leaf = issue(t, "trainer", key, &p.middle, false, f.leaf)
	return &p
}

func p256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// trustCA makes w trust every leaf under a CA and nothing else.
func (w *world) trustCA(t *testing.T, ca *x509.Certificate) {
	t.Helper()
	a, err := trust.LoadAuthorities(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}))
	if err != nil {
		t.Fatal(err)
	}
	w.roots = trust.Roots{Authorities: a, Now: func() time.Time { return present }}
	w.policy = policy.Policy{Signers: []trust.Identity{{CA: a[0].Fingerprint(), AnySubject: true}}, AllowUncovered: true}
}

// withChain puts certificates in the place of a bundle's key: the signature stays as it is.
func withChain(t *testing.T, b attestations.Bundle, chain ...[]byte) attestations.Bundle {
	t.Helper()
	list := []any{}
	for _, der := range chain {
		list = append(list, object{"rawBytes": base64.StdEncoding.EncodeToString(der)})
	}
	doc := decode(t, b)
	delete(material(doc), "publicKey")
	material(doc)["x509CertificateChain"] = object{"certificates": list}
	return encode(t, doc)
}

func TestCertificateThatDoesNotCountIsRefused(t *testing.T) {
	window := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = present.Add(from), present.Add(to) }
	}
	usage := func(u x509.KeyUsage, e ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = u, e }
	}
	extension := func(critical bool, oid ...int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: oid, Critical: critical, Value: []byte{5, 0}}}
		}
	}
	expired, early := because(policy.CertificateExpired), because(policy.CertificateTooEarly)
	const hour = time.Hour
	for name, c := range map[string]struct {
		faults  faults
		reasons []policy.Reason
	}{
		"leaf expired":                  {faults{leaf: window(-2*hour, -hour)}, expired},
		"leaf expired a second ago":     {faults{leaf: window(-2*hour, -time.Second)}, expired},
		"leaf to expire in a second":    {faults{leaf: window(-2*hour, time.Second)}, nil},
		"leaf not yet valid":            {faults{leaf: window(hour, 2*hour)}, early},
		"leaf valid in a second":        {faults{leaf: window(time.Second, hour)}, early},
		"window the wrong way round":    {faults{leaf: window(hour, -hour)}, early},
		"intermediate expired":          {faults{middle: window(-2*hour, -hour)}, expired},
		"intermediate not yet valid":    {faults{middle: window(hour, 2*hour)}, early},
		"authority expired":             {faults{root: window(-2*hour, -hour)}, expired},
		"authority not yet valid":       {faults{root: window(hour, 2*hour)}, early},
		"leaf for agreement":            {faults{leaf: usage(x509.KeyUsageKeyAgreement)}, untrusted},
		"leaf for a server":             {faults{leaf: usage(x509.KeyUsageKeyEncipherment, x509.ExtKeyUsageServerAuth)}, untrusted},
		"leaf for nothing":              {faults{leaf: usage(0)}, untrusted},
		"leaf for code alone":           {faults{leaf: usage(0, x509.ExtKeyUsageCodeSigning)}, nil},
		"leaf with unknown critical":    {faults{leaf: extension(true, 1, 2, 3, 4)}, untrusted},
		"leaf with unknown, uncritical": {faults{leaf: extension(false, 1, 2, 3, 4)}, nil},
		"leaf of Fulcio":                {faults{leaf: extension(false, 1, 3, 6, 1, 4, 1, 57264, 1, 1)}, untrusted},
		"intermediate no CA":            {faults{middle: func(c *x509.Certificate) { c.IsCA = false }}, untrusted},
		"intermediate may not certify":  {faults{middle: usage(x509.KeyUsageDigitalSignature)}, untrusted},
		"path longer than allowed":      {faults{root: func(c *x509.Certificate) { c.MaxPathLenZero = true }}, untrusted},
		"name that is not permitted":    {faults{middle: permit("example.com"), leaf: named("evil.example.org")}, untrusted},
		"name that is permitted":        {faults{middle: permit("example.com"), leaf: named("trainer.example.com")}, nil},
		"leaf of another key":           {faults{leafKey: p256(t)}, badSignature},
		"leaf of a short RSA key":       {faults{leafKey: shortRSA(t)}, because(policy.Unsupported)},
		"leaf of P-224":                 {faults{leafKey: p224(t)}, because(policy.Unsupported)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, small())
			b := w.sign(t, manifest.Options{})
			sound := newPKI(t, w, faults{})
			w.trustCA(t, sound.root.cert)
			mustHold(t, w.verify(t, chain.FilesOptions{}, withChain(t, b, sound.leaf.Raw, sound.middle.cert.Raw)))

			p := newPKI(t, w, c.faults)
			w.trustCA(t, p.root.cert)
			d := w.verify(t, chain.FilesOptions{}, withChain(t, b, p.leaf.Raw, p.middle.cert.Raw))
			if c.reasons == nil {
				mustHold(t, d)
				return
			}
			mustRefuse(t, d, c.reasons...)
		})
	}
}

func permit(domain string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{domain}, true
	}
}

func named(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = []string{name} }
}

func shortRSA(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func p224(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestCertificateChainThatIsNotOneIsRefused keeps the certificates sound and changes what the bundle makes of them.
func TestCertificateChainThatIsNotOneIsRefused(t *testing.T) {
	w := newWorld(t, small())
	b := w.sign(t, manifest.Options{})
	p, stranger := newPKI(t, w, faults{}), newPKI(t, w, faults{})
	w.trustCA(t, p.root.cert)
	leaf, middle, root := p.leaf.Raw, p.middle.cert.Raw, p.root.cert.Raw
	for name, c := range map[string]struct {
		chain   [][]byte
		reasons []policy.Reason
	}{
		"with its root":             {[][]byte{leaf, middle, root}, nil},
		"intermediates in disorder": {[][]byte{leaf, root, middle}, nil},
		"one certificate twice":     {[][]byte{leaf, middle, middle}, nil},
		"with a stranger's":         {[][]byte{leaf, stranger.middle.cert.Raw, middle}, nil},
		"none":                      {nil, broken},
		"too many":                  {append([][]byte{leaf}, slices.Repeat([][]byte{middle}, 16)...), broken},
		"as many as may be":         {append([][]byte{leaf}, slices.Repeat([][]byte{middle}, 15)...), nil},
		"without intermediate":      {[][]byte{leaf}, untrusted},
		"intermediate first":        {[][]byte{middle, leaf}, untrusted},
		"root alone":                {[][]byte{root}, untrusted},
		"by another authority":      {[][]byte{stranger.leaf.Raw, stranger.middle.cert.Raw, stranger.root.cert.Raw}, untrusted},
		"no certificate":            {[][]byte{[]byte("certificate"), middle}, broken},
		"cut short":                 {[][]byte{leaf[:len(leaf)-1], middle}, broken},
		"and a byte":                {[][]byte{append(slices.Clone(leaf), 0), middle}, broken},
		"intermediate damaged":      {[][]byte{leaf, middle[1:]}, broken},
		"empty":                     {[][]byte{{}}, broken},
		"leaf altered":              {[][]byte{altered(leaf), middle}, untrusted},
	} {
		t.Run(name, func(t *testing.T) {
			mustHold(t, w.verify(t, chain.FilesOptions{}, withChain(t, b, leaf, middle)))
			d := w.verify(t, chain.FilesOptions{}, withChain(t, b, c.chain...))
			if c.reasons == nil {
				mustHold(t, d)
				return
			}
			mustRefuse(t, d, c.reasons...)
		})
	}
}

// altered changes the last byte of a certificate: its signature.
func altered(der []byte) []byte {
	out := slices.Clone(der)
	out[len(out)-1] ^= 1
	return out
}

// TestCertificateSubjectIsHeldExactly pins the leaf's subject.
func TestCertificateSubjectIsHeldExactly(t *testing.T) {
	w := newWorld(t, small())
	b := w.sign(t, manifest.Options{})
	for _, c := range []struct {
		name, pinned string
		leaf         func(*x509.Certificate)
		holds        bool
	}{
		{"its name", "CN=trainer", nil, true},
		{"another name", "CN=other", nil, false},
		{"a part of it", "CN=train", nil, false},
		{"in other case", "cn=trainer", nil, false},
		{"a pattern", "CN=.*", nil, false},
		{"its alternative name", "trainer.example.com", named("trainer.example.com"), true},
		{"its name beside an alternative", "CN=trainer", named("trainer.example.com"), false},
		{"a name that says it is another", "CN=trainer", func(c *x509.Certificate) { c.Subject.CommonName = "x,CN=trainer" }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPKI(t, w, faults{leaf: c.leaf})
			w.trustCA(t, p.root.cert)
			bundle := withChain(t, b, p.leaf.Raw, p.middle.cert.Raw)
			mustHold(t, w.verify(t, chain.FilesOptions{}, bundle))
			w.policy.Signers[0].AnySubject, w.policy.Signers[0].Subject = false, c.pinned
			if d := w.verify(t, chain.FilesOptions{}, bundle); c.holds {
				mustHold(t, d)
			} else {
				mustRefuse(t, d, policy.UntrustedSigner)
			}
		})
	}
}

// TestMethodsDoNotMix takes a key's bundle to somebody who trusts a CA, and the other way round.
func TestMethodsDoNotMix(t *testing.T) {
	w := newWorld(t, small())
	b := w.sign(t, manifest.Options{})
	p := newPKI(t, w, faults{})
	certified := withChain(t, b, p.leaf.Raw, p.middle.cert.Raw)
	mustHold(t, w.verify(t, chain.FilesOptions{}, b))
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, certified), policy.UntrustedSigner)
	w.trustCA(t, p.root.cert)
	mustHold(t, w.verify(t, chain.FilesOptions{}, certified))
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.UntrustedSigner)
}

// TestFulcioAuthorityIsNoAuthority: it vouches for everybody who has an e-mail address.
func TestFulcioAuthorityIsNoAuthority(t *testing.T) {
	w := newWorld(t, small())
	load := func(fault func(*x509.Certificate)) error {
		cert := newPKI(t, w, faults{root: fault}).root.cert
		_, err := trust.LoadAuthorities(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
		return err
	}
	if err := load(nil); err != nil {
		t.Fatal(err)
	}
	if load(func(c *x509.Certificate) { c.Subject.Organization = []string{"sigstore.dev"} }) == nil {
		t.Error("a CA of sigstore.dev was trusted for every leaf")
	}
	fulcio := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: []byte{5, 0}}
	if load(func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{fulcio} }) == nil {
		t.Error("a CA with Fulcio's extensions was trusted for every leaf")
	}
}

// publicDER is a stranger's public key as SubjectPublicKeyInfo.
func publicDER(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(p256(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}
