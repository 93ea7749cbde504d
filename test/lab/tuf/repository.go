// Package tuf is a TUF repository on loopback, as a Sigstore instance has one for its trusted root. Start with [New] and
// [Repository.Publish]. It is made to be broken: every part of it can be replaced.
package tuf

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// The names of the trusted root and of the signing config in the repository.
const (
	Target       = "trusted_root.json"
	ConfigTarget = "signing_config.v0.2.json"
)

// TrustedRoot is a small trusted_root.json that is good from one time until another; each has keys of its own.
func TrustedRoot(t testing.TB, name string, from, until time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: from, NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(spki)
	logs := map[string]*root.TransparencyLog{hex.EncodeToString(id[:]): {
		BaseURL: "https://rekor." + name, ID: id[:], HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
		PublicKey: key.Public(), ValidityPeriodStart: from,
	}}
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: ca, URI: "https://fulcio." + name}}, logs, nil, logs)
	if err != nil {
		t.Fatal(err)
	}
	data, err := made.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Repository is a TUF repository with one key for all roles.
type Repository struct {
	URL string

	Key     ed25519.PrivateKey                    // signs what is published next
	Root    *metadata.Metadata[metadata.RootType] // change it, then PutRoot
	Version int64                                 // of what was published last
	Expires time.Time                             // of what is published next
	Length  int64                                 // what targets.json says of the target's length; 0: the truth
	Config  []byte                                // signing config that is published next to the trusted root; nil: none
	Stamps  [][]byte                              // every timestamp.json that was published

	t        testing.TB
	server   *httptest.Server
	mu       sync.Mutex
	files    map[string][]byte
	requests []string
	instead  http.HandlerFunc
}

// New starts a repository whose root.json is good until rootExpires, and what is published until expires.
func New(t testing.TB, rootExpires, expires time.Time) *Repository {
	t.Helper()
	r := &Repository{t: t, files: map[string][]byte{}, Expires: expires}
	r.Root = metadata.Root(rootExpires)
	r.Own(r.NewKey())
	r.PutRoot(r.Key)
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	r.URL = r.server.URL
	t.Cleanup(r.server.Close)
	return r
}

// Close ends the repository's server.
func (r *Repository) Close() { r.server.Close() }

// Instead has all further requests answered by h.
func (r *Repository) Instead(h http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.instead = h
}

// NewKey makes a key that signs nothing yet.
func (r *Repository) NewKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	return key
}

// Own gives every role to key.
func (r *Repository) Own(key ed25519.PrivateKey) {
	public, err := metadata.KeyFromPublicKey(key.Public())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, role := range []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS} {
		r.Root.Signed.Roles[role].KeyIDs = nil
		if err := r.Root.Signed.AddKey(public, role); err != nil {
			r.t.Fatal(err)
		}
	}
	r.Key = key
}

func (r *Repository) serve(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := strings.TrimPrefix(q.URL.Path, "/")
	r.requests = append(r.requests, name)
	if r.instead != nil {
		r.instead(w, q)
		return
	}
	data, ok := r.files[name]
	if !ok {
		http.NotFound(w, q)
		return
	}
	_, _ = w.Write(data)
}

// Put replaces a file.
func (r *Repository) Put(name string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[name] = data
}

// Sign returns m signed by keys.
func Sign[T metadata.Roles](r *Repository, m *metadata.Metadata[T], keys ...ed25519.PrivateKey) []byte {
	r.t.Helper()
	m.ClearSignatures()
	for _, k := range keys {
		s, err := signature.LoadSigner(k, crypto.Hash(0))
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := m.Sign(s); err != nil {
			r.t.Fatal(err)
		}
	}
	data, err := m.ToBytes(false)
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

// PutRoot publishes Root under its version, signed by keys.
func (r *Repository) PutRoot(keys ...ed25519.PrivateKey) {
	r.Put(fmt.Sprintf("%d.root.json", r.Root.Signed.Version), Sign(r, r.Root, keys...))
}

// Anchor is the first root.json.
func (r *Repository) Anchor() []byte { return r.File("1.root.json") }

// File is what is served under a name; nil: nothing.
func (r *Repository) File(name string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files[name]
}

// Remove takes a file away.
func (r *Repository) Remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.files, name)
}

// Publish makes the next version of everything, with data as the trusted root.
func (r *Repository) Publish(data []byte) {
	r.t.Helper()
	r.Version++
	targets := metadata.Targets(r.Expires)
	targets.Signed.Version, targets.Signed.Targets = r.Version, map[string]*metadata.TargetFiles{Target: r.target(Target, data)}
	if r.Length != 0 {
		targets.Signed.Targets[Target].Length = r.Length
	}
	if r.Config != nil {
		targets.Signed.Targets[ConfigTarget] = r.target(ConfigTarget, r.Config)
	}
	snapshot := metadata.Snapshot(r.Expires)
	snapshot.Signed.Version, snapshot.Signed.Meta["targets.json"] = r.Version, metadata.MetaFile(r.Version)
	stamp := metadata.Timestamp(r.Expires)
	stamp.Signed.Version, stamp.Signed.Meta["snapshot.json"] = r.Version, metadata.MetaFile(r.Version)
	r.Put(fmt.Sprintf("%d.targets.json", r.Version), Sign(r, targets, r.Key))
	r.Put(fmt.Sprintf("%d.snapshot.json", r.Version), Sign(r, snapshot, r.Key))
	r.Stamps = append(r.Stamps, Sign(r, stamp, r.Key))
	r.Put("timestamp.json", r.Stamps[len(r.Stamps)-1])
}

// target puts a file where it is looked for, and returns what targets.json says of it.
func (r *Repository) target(name string, data []byte) *metadata.TargetFiles {
	r.t.Helper()
	file, err := metadata.TargetFile().FromBytes(name, data, "sha256")
	if err != nil {
		r.t.Fatal(err)
	}
	r.Put("targets/"+hex.EncodeToString(file.Hashes["sha256"])+"."+name, data)
	return file
}

// Asked reports whether a file with this in its name was asked for since the last call.
func (r *Repository) Asked(part string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := false
	for _, name := range r.requests {
		found = found || strings.Contains(name, part)
	}
	r.requests = nil
	return found
}
