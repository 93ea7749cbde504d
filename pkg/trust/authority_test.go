package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"net/url"
	"testing"
	"time"
)

func TestLoadAuthoritiesReadsEveryBlock(t *testing.T) {
	a, b, leaf := issue(t, nil, caTemplate("a")), issue(t, nil, caTemplate("b")), issue(t, nil, leafTemplate("self"))
	data := append([]byte("subject=a\n"), a.pem()...)
	data = append(append(append(data, "subject=b\n"...), b.pem()...), leaf.pem()...)
	got, err := LoadAuthorities(data)
	if err != nil || len(got) != 3 {
		t.Fatalf("%d authorities, %v; want 3", len(got), err)
	}
	for i, want := range []*issued{a, b, leaf} {
		sum := sha256.Sum256(want.cert.Raw)
		if got[i].Fingerprint() != hex.EncodeToString(sum[:]) || !got[i].Certificate().Equal(want.cert) {
			t.Errorf("authority %d is not %s", i, want.cert.Subject)
		}
	}
}

func TestLoadAuthoritiesRefuses(t *testing.T) {
	good := issue(t, nil, caTemplate("ca"))
	if _, err := LoadAuthorities(good.pem()); err != nil {
		t.Fatalf("certificate without a fault: %v", err)
	}
	byName, byExtension := caTemplate("ca"), caTemplate("ca")
	byName.Subject.Organization = []string{"sigstore.dev"}
	byExtension.ExtraExtensions = []pkix.Extension{fulcioExtension}
	damaged := bytes.Replace(good.pem(), []byte("\nM"), []byte("\n?"), 1)
	for _, test := range []struct {
		says string
		data []byte
	}{
		{"no PEM block", nil},
		{"no PEM block", []byte("certificate\n")},
		{`"PUBLIC KEY"`, block("PUBLIC KEY", spki(t, good.key.Public()))},
		{`"PRIVATE KEY"`, append(good.pem(), block("PRIVATE KEY", []byte{1})...)},
		{"x509", block("CERTIFICATE", []byte{0x30, 0})},
		{"x509", append(good.pem(), block("CERTIFICATE", good.cert.Raw[:100])...)},
		{"1 of 2 PEM blocks are damaged", append(good.pem(), damaged...)},
		{"1 of 2 PEM blocks are damaged", append(bytes.Clone(damaged), good.pem()...)},
		{"1 of 2 PEM blocks are damaged", append(good.pem(), good.pem()[:100]...)},
		{"identity provider", issue(t, nil, byName).pem()},
		{"identity provider", issue(t, nil, byExtension).pem()},
		{"identity provider", append(good.pem(), issue(t, nil, byName).pem()...)},
		{"at most", append(bytes.Repeat([]byte("#\n"), MaxFile/2), good.pem()...)},
	} {
		_, err := LoadAuthorities(test.data)
		refused(t, err, test.says)
	}
	if _, err := LoadAuthorities(issue(t, nil, byExtension).pem()); !errors.Is(err, ErrFulcio) {
		t.Errorf("%v does not wrap ErrFulcio", err)
	}
	neighbour := caTemplate("ca")
	neighbour.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 57264, 2, 1}, Value: []byte("x")}}
	if _, err := LoadAuthorities(issue(t, nil, neighbour).pem()); err != nil {
		t.Errorf("an extension beside Fulcio's arc: %v", err)
	}
}

// pki is a root, an intermediate and a leaf, each valid in its own time.
func pki(t *testing.T) (root, middle, leaf *issued) {
	t.Helper()
	root = issue(t, nil, caTemplate("root"))
	m := caTemplate("middle")
	m.NotBefore, m.NotAfter = begin.AddDate(0, 1, 0), end.AddDate(0, -1, 0)
	middle = issue(t, root, m)
	l := leafTemplate("ann")
	l.NotBefore, l.NotAfter = begin.AddDate(0, 2, 0), end.AddDate(0, -2, 0)
	leaf = issue(t, middle, l)
	return root, middle, leaf
}

func TestVerifyChainNamesSignerAndAuthority(t *testing.T) {
	root, middle, leaf := pki(t)
	rest := []*x509.Certificate{middle.cert}
	for name, roots := range map[string]Roots{
		"root": mustAuthorities(t, root), "middle": mustAuthorities(t, middle), "root of two": mustAuthorities(t, issue(t, nil, caTemplate("x")), root),
	} {
		who, err := roots.VerifyChain(leaf.cert, rest, then)
		anchor := root
		if name == "middle" {
			anchor = middle
		}
		sum := sha256.Sum256(anchor.cert.Raw)
		want := Signer{Method: MethodCertificate, Subject: "CN=ann", CA: hex.EncodeToString(sum[:])}
		if err != nil || who.Method != want.Method || who.Subject != want.Subject || who.CA != want.CA || who.Key != "" || who.Issuer != "" {
			t.Errorf("%s: signer is %+v, %v, want %+v", name, who, err, want)
		}
	}
}

func TestVerifyChainJudgesTheWholeChainAtTheTime(t *testing.T) {
	root, middle, leaf := pki(t)
	roots := mustAuthorities(t, root)
	for _, test := range []struct {
		name string
		at   time.Time
		want error
		says string
	}{
		{"before the root", begin.Add(-time.Second), ErrNotValidYet, `"CN=`},
		{"before the intermediate", middle.cert.NotBefore.Add(-time.Second), ErrNotValidYet, `"CN=`},
		{"before the leaf", leaf.cert.NotBefore.Add(-time.Second), ErrNotValidYet, `"CN=ann" is valid from 2026-03-01T00:00:00Z`},
		{"first second", leaf.cert.NotBefore, nil, ""},
		{"in between", then, nil, ""},
		{"last second", leaf.cert.NotAfter, nil, ""},
		{"after the leaf", leaf.cert.NotAfter.Add(time.Second), ErrExpired, `"CN=ann" was valid until 2026-11-01T00:00:00Z`},
		{"after the root", end.Add(time.Second), ErrExpired, `"CN=`},
	} {
		_, err := roots.VerifyChain(leaf.cert, []*x509.Certificate{middle.cert}, test.at)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if test.want != nil {
			refused(t, err, test.says)
		}
	}
}

func TestVerifyChainRefusesAnExpiredIntermediate(t *testing.T) {
	root := issue(t, nil, caTemplate("root"))
	old := caTemplate("middle")
	old.NotBefore, old.NotAfter = begin, begin.AddDate(0, 1, 0)
	middle := issue(t, root, old)
	leaf := issue(t, middle, leafTemplate("ann"))
	roots := mustAuthorities(t, root)
	if _, err := roots.VerifyChain(leaf.cert, []*x509.Certificate{middle.cert}, begin.AddDate(0, 0, 1)); err != nil {
		t.Errorf("while the intermediate was valid: %v", err)
	}
	_, err := roots.VerifyChain(leaf.cert, []*x509.Certificate{middle.cert}, then)
	if !errors.Is(err, ErrExpired) {
		t.Errorf("after: %v, want ErrExpired", err)
	}
	refused(t, err, `"CN=middle"`)
}

func TestVerifyChainRefuses(t *testing.T) {
	root, middle, leaf := pki(t)
	roots, rest := mustAuthorities(t, root), []*x509.Certificate{middle.cert}
	if _, err := roots.VerifyChain(leaf.cert, rest, then); err != nil {
		t.Fatalf("chain without a fault: %v", err)
	}
	noUsage, encipher, client, fulcio, codeSigning := leafTemplate("ann"), leafTemplate("ann"), leafTemplate("ann"), leafTemplate("ann"), leafTemplate("ann")
	noUsage.KeyUsage = 0
	encipher.KeyUsage = x509.KeyUsageKeyEncipherment
	client.KeyUsage, client.ExtKeyUsage = 0, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	codeSigning.KeyUsage, codeSigning.ExtKeyUsage = 0, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	fulcio.ExtraExtensions = []pkix.Extension{fulcioExtension}
	notCA := issue(t, root, leafTemplate("no authority"))
	var unknown x509.UnknownAuthorityError

	if _, err := roots.VerifyChain(issue(t, root, codeSigning).cert, nil, then); err != nil {
		t.Errorf("code signing alone: %v", err)
	}
	for name, test := range map[string]struct {
		roots Roots
		leaf  *x509.Certificate
		rest  []*x509.Certificate
		want  error
	}{
		"nobody trusted": {Roots{}, leaf.cert, rest, ErrNobody},
		"a key trusted":  {Roots{Keys: []Key{{}}}, leaf.cert, rest, ErrNobody},
		"no usage":       {roots, issue(t, root, noUsage).cert, nil, ErrUsage},
		"other usage":    {roots, issue(t, root, encipher).cert, nil, ErrUsage},
		"client":         {roots, issue(t, root, client).cert, nil, ErrUsage},
		"Fulcio's":       {roots, issue(t, root, fulcio).cert, nil, ErrFulcio},
	} {
		if who, err := test.roots.VerifyChain(test.leaf, test.rest, then); !errors.Is(err, test.want) || who.Method != "" {
			t.Errorf("%s: %+v, %v, want %v", name, who, err, test.want)
		}
	}
	for name, test := range map[string]struct {
		roots Roots
		leaf  *x509.Certificate
		rest  []*x509.Certificate
	}{
		"another CA":           {mustAuthorities(t, issue(t, nil, caTemplate("root"))), leaf.cert, rest},
		"intermediate missing": {roots, leaf.cert, nil},
		"self-signed":          {roots, issue(t, nil, leafTemplate("ann")).cert, nil},
		"own root brought":     {roots, issue(t, nil, leafTemplate("ann")).cert, []*x509.Certificate{root.cert}},
		"by another leaf":      {roots, issue(t, notCA, leafTemplate("ann")).cert, []*x509.Certificate{notCA.cert}},
	} {
		_, err := test.roots.VerifyChain(test.leaf, test.rest, then)
		var invalid x509.CertificateInvalidError
		if !errors.As(err, &unknown) && !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyChainTakesALeafAsItsOwnAuthority(t *testing.T) {
	leaf := issue(t, nil, leafTemplate("self"))
	who, err := mustAuthorities(t, leaf).VerifyChain(leaf.cert, nil, then)
	sum := sha256.Sum256(leaf.cert.Raw)
	if err != nil || who.Subject != "CN=self" || who.CA != hex.EncodeToString(sum[:]) {
		t.Errorf("signer is %+v, %v", who, err)
	}
	if _, err := mustAuthorities(t, leaf).VerifyChain(leaf.cert, nil, end.Add(time.Second)); !errors.Is(err, ErrExpired) {
		t.Errorf("after its end: %v", err)
	}
	// It stands for itself alone: what it signed is not trusted.
	child := issue(t, leaf, leafTemplate("child"))
	if _, err := mustAuthorities(t, leaf).VerifyChain(child.cert, nil, then); err == nil {
		t.Error("a certificate by a leaf is trusted")
	}
}

func TestVerifyChainOpensTheReferenceChain(t *testing.T) {
	load := func(name string) *x509.Certificate {
		certs, err := ParseCertificates(vectors(t, "oms/assets/keys/certificate/"+name))
		if err != nil {
			t.Fatal(err)
		}
		return certs[0]
	}
	authorities, err := LoadAuthorities(vectors(t, "oms/assets/keys/certificate/ca-cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	rest := []*x509.Certificate{load("int-ca-cert.pem")}
	if _, err := (Roots{Authorities: authorities}).VerifyChain(load("signing-key-cert.pem"), rest, then); err != nil {
		t.Error(err)
	}
	wrong, err := LoadAuthorities(vectors(t, "oms/assets/keys/wrong/wrong-ca-cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Roots{Authorities: wrong}).VerifyChain(load("signing-key-cert.pem"), rest, then); err == nil {
		t.Error("opens under another CA")
	}
}

func TestCertificateSubject(t *testing.T) {
	u, err := url.Parse("https://example.com/ann")
	if err != nil {
		t.Fatal(err)
	}
	c := leafTemplate("ann")
	c.Subject.Organization = []string{"Acme, Inc"}
	if got := CertificateSubject(issue(t, nil, c).cert); got != `CN=ann,O=Acme\, Inc` {
		t.Errorf("distinguished name: %s", got)
	}
	c.DNSNames = []string{"ann.example.com"}
	if got := CertificateSubject(issue(t, nil, c).cert); got != "ann.example.com" {
		t.Errorf("DNS: %s", got)
	}
	c.EmailAddresses = []string{"ann@example.com"}
	if got := CertificateSubject(issue(t, nil, c).cert); got != "ann@example.com" {
		t.Errorf("e-mail: %s", got)
	}
	c.URIs = []*url.URL{u}
	if got := CertificateSubject(issue(t, nil, c).cert); got != "https://example.com/ann" {
		t.Errorf("URI: %s", got)
	}
}
