package signer

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

func (w *world) witnesses(rekor int) WitnessOptions {
	o := WitnessOptions{TrustedRoot: w.root, TimestampURLs: []string{w.server.URL + "/tsa"}, Now: w.time}
	if rekor > 0 {
		o.SigningConfig = w.config(rekor)
	}
	return o
}

// witnessed returns by with witnesses, and without pauses.
func (w *world) witnessed(by Signer, o WitnessOptions) *witnessed {
	w.t.Helper()
	s, err := NewWitnessed(by, o)
	if err != nil {
		w.t.Fatal(err)
	}
	s.(*witnessed).pause = w.signer(w.options(2)).(*keyless).pause
	return s.(*witnessed)
}

func (w *world) keySigner(a Algorithm) Signer {
	w.t.Helper()
	s, err := NewKey(newKeyPair(w.t, a))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// brought is what a bundle brings beside its signature.
func brought(t *testing.T, raw []byte) (sig []byte, timestamps, entries [][]byte) {
	t.Helper()
	var b struct {
		Material struct {
			Stamps struct {
				RFC3161 []struct {
					Response []byte `json:"signedTimestamp"`
				} `json:"rfc3161Timestamps"`
			} `json:"timestampVerificationData"`
			Entries []json.RawMessage `json:"tlogEntries"`
		} `json:"verificationMaterial"`
		Envelope struct {
			Signatures []struct {
				Sig []byte `json:"sig"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	for _, s := range b.Material.Stamps.RFC3161 {
		timestamps = append(timestamps, s.Response)
	}
	for _, e := range b.Material.Entries {
		entries = append(entries, e)
	}
	return b.Envelope.Signatures[0].Sig, timestamps, entries
}

func TestWitnessedBundleBringsTimestampAndLogEntry(t *testing.T) {
	schema := omsSchema(t)
	for _, a := range []Algorithm{ECDSAP256, ECDSAP384, ECDSAP521, RSA2048} {
		for _, rekor := range []int{0, 1, 2} {
			w := newWorld(t)
			if rekor == 1 && (a == ECDSAP384 || a == ECDSAP521) {
				_, err := NewWitnessed(w.keySigner(a), w.witnesses(rekor))
				refused(t, err, "takes signatures by SHA-256 only")
				continue
			}
			by := w.witnessed(w.keySigner(a), w.witnesses(rekor))
			raw := mustSign(t, by, statement)
			if err := validate(t, schema, raw); err != nil {
				t.Errorf("%s, rekor v%d: %v", a, rekor, err)
			}
			sig, timestamps, entries := brought(t, raw)
			stamp, err := w.root.Earliest(timestamps, sig)
			if err != nil || !stamp.Time.Equal(worldTime.Add(time.Second)) {
				t.Errorf("%s: stamped %v: %v", a, stamp, err)
			}
			if _, err := newWorld(t).root.Earliest(timestamps, sig); !errors.Is(err, trust.ErrTimestamp) {
				t.Errorf("%s: another root says %v", a, err)
			}
			if (rekor > 0) != (len(entries) == 1) {
				t.Errorf("%s, rekor v%d: %d log entries", a, rekor, len(entries))
			}
			if rekor == 0 {
				continue
			}
			if !strings.Contains(string(entries[0]), `"hashes":[]`) {
				t.Errorf("%s, rekor v%d: the reference implementation wants all members: %s", a, rekor, entries[0])
			}
			logged := trust.Logged{
				MediaType: bundleMediaType, PayloadType: inToto, Payload: []byte(statement), Signature: sig,
				Key: by.key.Public(), Entries: entries,
			}
			at, err := w.root.VerifyLogEntries(logged)
			if err != nil || at.IsZero() != (rekor == 2) {
				t.Errorf("%s, rekor v%d: logged %v: %v", a, rekor, at, err)
			}
			for name, change := range map[string]func(*trust.Logged){
				"another payload":   func(l *trust.Logged) { l.Payload = []byte(statement + " ") },
				"another signature": func(l *trust.Logged) { l.Signature = append([]byte{0}, sig...) },
				"another key":       func(l *trust.Logged) { l.Key = newKeyPair(t, a).Public() },
				"no entry":          func(l *trust.Logged) { l.Entries = nil },
				"half an entry":     func(l *trust.Logged) { l.Entries = [][]byte{[]byte(`{"logIndex":"1"}`)} },
			} {
				l := logged
				change(&l)
				if _, err := w.root.VerifyLogEntries(l); !errors.Is(err, trust.ErrLogEntry) {
					t.Errorf("%s, rekor v%d, %s: %v", a, rekor, name, err)
				}
			}
			if _, err := newWorld(t).root.VerifyLogEntries(logged); !errors.Is(err, trust.ErrLogEntry) {
				t.Errorf("%s, rekor v%d: another root says %v", a, rekor, err)
			}
		}
	}
}

func TestWitnessedCertificate(t *testing.T) {
	w := newWorld(t)
	ca := issue(t, nil, newKeyPair(t, ECDSAP256), authority("ca"))
	leaf := issue(t, ca, newKeyPair(t, ECDSAP256), leafFor("ann"))
	plain, err := NewCertificate(leaf.key, leaf.cert, []*x509.Certificate{ca.cert})
	if err != nil {
		t.Fatal(err)
	}
	for _, rekor := range []int{1, 2} {
		sig, timestamps, entries := brought(t, mustSign(t, w.witnessed(plain, w.witnesses(rekor)), statement))
		if _, err := w.root.Earliest(timestamps, sig); err != nil {
			t.Error(err)
		}
		l := trust.Logged{MediaType: bundleMediaType, PayloadType: inToto, Payload: []byte(statement), Signature: sig, Leaf: leaf.cert, Entries: entries}
		if _, err := w.root.VerifyLogEntries(l); err != nil {
			t.Errorf("rekor v%d: %v", rekor, err)
		}
		l.Leaf = issue(t, ca, leaf.key, leafFor("bob")).cert
		if _, err := w.root.VerifyLogEntries(l); !errors.Is(err, trust.ErrLogEntry) {
			t.Errorf("rekor v%d: entry for another certificate of the key: %v", rekor, err)
		}
	}
}

// stampWith answers a timestamp request with what change made of the proper answer.
func (w *world) stampWith(change func(*timestamp.Timestamp)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		request := must(timestamp.ParseRequest(must(io.ReadAll(r.Body))))
		stamp := timestamp.Timestamp{
			HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Nonce: request.Nonce,
			Time: w.time(), SerialNumber: big.NewInt(1), Policy: asn1.ObjectIdentifier{1, 2, 3},
		}
		change(&stamp)
		_, _ = rw.Write(must(stamp.CreateResponseWithOpts(w.tsa.cert, w.tsa.key, crypto.SHA256)))
	}
}

func TestTimestampRefusesWrongAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(*world) http.HandlerFunc
		says   string
	}{
		"another message": {func(w *world) http.HandlerFunc {
			return w.stampWith(func(s *timestamp.Timestamp) { s.HashedMessage = make([]byte, 32) })
		}, "it is on another message"},
		"another nonce": {func(w *world) http.HandlerFunc {
			return w.stampWith(func(s *timestamp.Timestamp) { s.Nonce = big.NewInt(5) })
		}, "its nonce is not the one that was sent"},
		"no nonce": {func(w *world) http.HandlerFunc {
			return w.stampWith(func(s *timestamp.Timestamp) { s.Nonce = nil })
		}, "its nonce is not the one that was sent"},
		"authority not valid yet": {func(w *world) http.HandlerFunc {
			return w.stampWith(func(s *timestamp.Timestamp) { s.Time = always[0].Add(-time.Hour) })
		}, "outside its validity (1969-12-31T23:00:00Z)"},
		"another authority": {func(w *world) http.HandlerFunc { return newWorld(w.t).serveTSA }, "by no authority of the trusted root"},
		"too long":          {func(*world) http.HandlerFunc { return answer(http.StatusOK, strings.Repeat("x", maxAnswer+1)) }, "longer than"},
		"longer than kept":  {func(*world) http.HandlerFunc { return answer(http.StatusOK, strings.Repeat("x", trust.MaxTimestamp+1)) }, "at most 65536 are read"},
		"nonsense":          {func(*world) http.HandlerFunc { return answer(http.StatusOK, "no stamp") }, "decode"},
		"nothing":           {func(*world) http.HandlerFunc { return answer(http.StatusOK, "") }, "decode"},
		"refusal":           {func(*world) http.HandlerFunc { return answer(http.StatusForbidden, "not you") }, `403 Forbidden: "not you"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			by := w.witnessed(w.keySigner(ECDSAP256), w.witnesses(2))
			w.next("tsa", c.answer(w))
			_, err := by.Sign(t.Context(), inToto, []byte(statement))
			refused(t, err, c.says)
			var server *ServerError
			if !errors.As(err, &server) || server.Step != "get a timestamp from" || !strings.HasSuffix(server.Server, "/tsa") {
				t.Errorf("%v does not name step and server", err)
			}
			if w.asked("rekor2") != 0 {
				t.Error("a signature without its timestamp was logged")
			}
			mustSign(t, by, statement) // the same again, without the fault
		})
	}
}

func TestWitnessedSignsAgainOnAConflict(t *testing.T) {
	conflict := answer(http.StatusConflict, `{"code":6,"message":"an equivalent entry already exists"}`)
	w := newWorld(t)
	by := w.witnessed(w.keySigner(ECDSAP256), w.witnesses(2))
	w.next("rekor2", conflict)
	mustSign(t, by, statement)

	by = w.witnessed(w.keySigner(RSA2048), w.witnesses(2))
	w.next("rekor2", conflict, conflict)
	_, err := by.Sign(t.Context(), inToto, []byte(statement))
	refused(t, err, "signs the same payload alike each time")

	other := newWorld(t)
	by = w.witnessed(w.keySigner(ECDSAP256), w.witnesses(2))
	w.next("rekor2", other.serveRekorV2)
	_, err = by.Sign(t.Context(), inToto, []byte(statement))
	refused(t, err, "log entry does not hold")
	mustSign(t, by, statement)
}

func TestNewWitnessedRefuses(t *testing.T) {
	w := newWorld(t)
	key := w.keySigner(ECDSAP256)
	for name, c := range map[string]struct {
		by   Signer
		o    WitnessOptions
		says string
	}{
		"nobody":                     {nil, w.witnesses(2), "neither"},
		"keyless":                    {w.signer(w.options(2)), w.witnesses(2), "neither"},
		"no root":                    {key, WitnessOptions{TimestampURLs: []string{"https://tsa.test"}}, "nobody to trust"},
		"no witness":                 {key, WitnessOptions{TrustedRoot: w.root}, "neither timestamp authority nor log"},
		"no URL":                     {key, WitnessOptions{TrustedRoot: w.root, TimestampURLs: []string{"ftp://tsa.test"}}, "is not an https URL"},
		"too many":                   {key, WitnessOptions{TrustedRoot: w.root, TimestampURLs: make([]string, trust.MaxTimestamps+1)}, "at most 16"},
		"no config":                  {key, WitnessOptions{TrustedRoot: w.root, SigningConfig: []byte("{}")}, "read signing config"},
		"ed25519 for Rekor v2":       {w.keySigner(Ed25519), w.witnesses(2), "takes no Ed25519"},
		"timeout before it is begun": {key, WitnessOptions{TrustedRoot: w.root, TimestampURLs: []string{"https://tsa.test"}, Timeout: -1}, "negative"},
	} {
		s, err := NewWitnessed(c.by, c.o)
		if refused(t, err, c.says); s != nil {
			t.Errorf("%s: a signer comes with the error", name)
		}
	}
	mustSign(t, w.witnessed(w.keySigner(Ed25519), w.witnesses(1)), statement) // Rekor v1 takes it
	if asked := w.asked("tsa"); asked != 1 {
		t.Errorf("%d requests, one was made by Sign", asked)
	}
}

func TestStampIsOnTheMessage(t *testing.T) {
	w := newWorld(t)
	raw, err := w.witnessed(w.keySigner(ECDSAP256), w.witnesses(0)).Stamp(t.Context(), []byte("id"))
	if err != nil {
		t.Fatal(err)
	}
	if stamp, err := w.root.VerifyTimestamp(raw, []byte("id")); err != nil || !stamp.Time.Equal(worldTime.Add(time.Second)) {
		t.Errorf("%v: %v", stamp, err)
	}
	if _, err := w.root.VerifyTimestamp(raw, []byte("di")); !errors.Is(err, trust.ErrTimestamp) {
		t.Errorf("on another message: %v", err)
	}
}
