// Package vault stands in for HashiCorp Vault's transit engine: the part of its HTTP API that signing takes, as its
// documentation has it (API, Secrets Engines, Transit), with the faults that a real one has.
package vault

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
)

// Token is what a request has to show in X-Vault-Token.
const Token = "hvs.lab"

// Vault is a transit engine on loopback. It may be used by several goroutines.
type Vault struct {
	Addr string

	server *httptest.Server
	mu     sync.Mutex
	keys   map[string][]crypto.Signer // versions, the first is 1
	kinds  map[string]string
	fault  Fault
	signed int
}

// Fault is what goes wrong with the next requests.
type Fault struct {
	Sealed    bool            // everything answers 503
	Status    int             // signing answers so
	Signature string          // signing returns this, whatever was asked
	Rotate    bool            // each key is rotated just before it signs
	Hang      <-chan struct{} // signing waits for it
}

// New starts an engine without keys, unsealed.
func New() *Vault {
	v := &Vault{keys: map[string][]crypto.Signer{}, kinds: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/transit/keys/{name}", v.read)
	for _, method := range []string{"PUT", "POST"} {
		mux.HandleFunc(method+" /v1/transit/sign/{name}", v.sign)
		mux.HandleFunc(method+" /v1/transit/sign/{name}/{hash}", v.sign)
	}
	v.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		sealed := v.fault.Sealed
		v.mu.Unlock()
		switch {
		case sealed: // before anything else: a sealed Vault knows no tokens
			fail(rw, http.StatusServiceUnavailable, "Vault is sealed")
		case r.Header.Get("X-Vault-Token") != Token:
			fail(rw, http.StatusForbidden, "permission denied")
		default:
			mux.ServeHTTP(rw, r)
		}
	}))
	v.Addr = v.server.URL
	return v
}

// Close stops it.
func (v *Vault) Close() { v.server.Close() }

// Break sets what goes wrong from now on; the zero Fault mends all.
func (v *Vault) Break(f Fault) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fault = f
}

// Signed is how many signatures were made.
func (v *Vault) Signed() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.signed
}

// Create makes a key, or its next version: ecdsa-p256, ecdsa-p384, ecdsa-p521, ed25519 or rsa-2048.
func (v *Vault) Create(name, kind string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.create(name, kind)
}

func (v *Vault) create(name, kind string) error {
	var key crypto.Signer
	var err error
	switch kind {
	case "ecdsa-p256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa-p384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ecdsa-p521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "rsa-2048":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = errors.New("unknown kind")
	}
	if err != nil {
		return fmt.Errorf("make %s key %q: %w", kind, name, err)
	}
	v.keys[name], v.kinds[name] = append(v.keys[name], key), kind
	return nil
}

// PublicKey is the PEM of a key's latest version.
func (v *Vault) PublicKey(name string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	versions := v.keys[name]
	if len(versions) == 0 {
		return nil, fmt.Errorf("no key %q", name)
	}
	return publicPEM(versions[len(versions)-1])
}

func publicPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}

// read answers "Read Key".
func (v *Vault) read(rw http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	name := r.PathValue("name")
	if len(v.keys[name]) == 0 {
		fail(rw, http.StatusNotFound)
		return
	}
	versions := map[string]any{}
	for i, key := range v.keys[name] {
		text, err := publicPEM(key)
		if err != nil {
			fail(rw, http.StatusInternalServerError, err.Error())
			return
		}
		if raw, ok := key.Public().(ed25519.PublicKey); ok { // the one kind that is not told as PEM
			text = []byte(base64.StdEncoding.EncodeToString(raw))
		}
		versions[strconv.Itoa(i+1)] = map[string]any{
			"name": v.kinds[name], "public_key": string(text), "creation_time": "2026-01-01T00:00:00Z",
		}
	}
	reply(rw, map[string]any{"name": name, "type": v.kinds[name], "keys": versions, "latest_version": len(versions), "supports_signing": true})
}

// flexible is a number that Vault also takes as text.
type flexible string

func (f *flexible) UnmarshalJSON(raw []byte) error {
	*f = flexible(strings.Trim(string(raw), `"`))
	return nil
}

// sign answers "Sign Data".
func (v *Vault) sign(rw http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	hang := v.fault.Hang
	v.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	name := r.PathValue("name")
	var request struct {
		Input      []byte   `json:"input"`
		Prehashed  bool     `json:"prehashed"`
		Version    flexible `json:"key_version"`
		Algorithm  string   `json:"signature_algorithm"`
		Marshaling string   `json:"marshaling_algorithm"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		fail(rw, http.StatusBadRequest, err.Error())
		return
	}
	if v.fault.Status != 0 {
		fail(rw, v.fault.Status, "lab fault")
		return
	}
	if len(v.keys[name]) == 0 {
		fail(rw, http.StatusBadRequest, "signing key not found")
		return
	}
	if v.fault.Rotate {
		if err := v.create(name, v.kinds[name]); err != nil {
			fail(rw, http.StatusInternalServerError, err.Error())
			return
		}
	}
	version, err := strconv.Atoi(string(request.Version))
	if request.Version == "" || (err == nil && version == 0) {
		version, err = len(v.keys[name]), nil
	}
	if err != nil || version < 1 || version > len(v.keys[name]) {
		fail(rw, http.StatusBadRequest, "cannot use this version of the key")
		return
	}
	if request.Marshaling != "" && request.Marshaling != "asn1" {
		fail(rw, http.StatusBadRequest, "the lab marshals as asn1 alone")
		return
	}
	sig, err := signWith(v.keys[name][version-1], request.Input, r.PathValue("hash"), request.Prehashed, request.Algorithm)
	if err != nil {
		fail(rw, http.StatusBadRequest, err.Error())
		return
	}
	v.signed++
	text := fmt.Sprintf("vault:v%d:%s", version, base64.StdEncoding.EncodeToString(sig))
	if v.fault.Signature != "" {
		text = v.fault.Signature
	}
	reply(rw, map[string]any{"signature": text, "key_version": version})
}

func signWith(key crypto.Signer, input []byte, hash string, prehashed bool, algorithm string) ([]byte, error) {
	if _, ok := key.(ed25519.PrivateKey); ok {
		if prehashed {
			return nil, errors.New("the lab signs whole messages with ed25519")
		}
		return key.Sign(rand.Reader, input, crypto.Hash(0))
	}
	hashes := map[string]crypto.Hash{"": crypto.SHA256, "sha2-256": crypto.SHA256, "sha2-384": crypto.SHA384, "sha2-512": crypto.SHA512}
	h, ok := hashes[hash]
	if !ok {
		return nil, fmt.Errorf("unsupported hash algorithm %q", hash)
	}
	digest := input
	if !prehashed {
		sum := h.New()
		sum.Write(input)
		digest = sum.Sum(nil)
	}
	if len(digest) != h.Size() {
		return nil, errors.New("input is of another length than the hash's")
	}
	var opts crypto.SignerOpts = h
	if _, ok := key.(*rsa.PrivateKey); ok && algorithm != "pkcs1v15" { // Vault's default
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto, Hash: h}
	}
	return key.Sign(rand.Reader, digest, opts)
}

func reply(rw http.ResponseWriter, data any) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(map[string]any{"request_id": "lab", "data": data})
}

func fail(rw http.ResponseWriter, status int, messages ...string) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(map[string]any{"errors": append([]string{}, messages...)})
}
