// Command world serves a small OCI registry on loopback, in memory, for the example, and makes a certificate that ends in
// three weeks. It writes its address to the file address in the folder that it is given, beside ca.pem, contractor.pem and
// contractor.key, and ends when it is terminated.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

const threeWeeks = 21 * 24 * time.Hour

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: world FOLDER")
	}
	dir := os.Args[1]
	if err := certify(dir); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	temporary := filepath.Join(dir, "address.tmp")
	if err := os.WriteFile(temporary, []byte(listener.Addr().String()), 0o644); err != nil {
		log.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(dir, "address")); err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Handler:           registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))),
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.Serve(listener))
}

// certify makes a CA, and a certificate and key of a contractor under it.
func certify(dir string) error {
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Acme contractors"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(threeWeeks),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "contractor"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(threeWeeks),
		KeyUsage: x509.KeyUsageDigitalSignature, URIs: []*url.URL{{Scheme: "spiffe", Host: "acme", Path: "/contractor"}}}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return err
	}
	write := func(name, kind string, der []byte) error {
		return os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
	return errors.Join(write("ca.pem", "CERTIFICATE", caDER), write("contractor.pem", "CERTIFICATE", leafDER), write("contractor.key", "PRIVATE KEY", keyDER))
}
