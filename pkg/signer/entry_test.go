package signer

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"testing"

	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"google.golang.org/protobuf/encoding/protojson"
)

// entered answers as the log of that version does, to what change makes of the request.
func (w *world) entered(rekor int, change func(body []byte) []byte) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(bytes.NewReader(change(must(io.ReadAll(r.Body)))))
		if rekor == 1 {
			w.serveRekorV1(rw, r)
		} else {
			w.serveRekorV2(rw, r)
		}
	}
}

// signers are those whose signatures are logged, by a log of that version.
func (w *world) loggedSigners(rekor int) map[string]Signer {
	return map[string]Signer{
		"keyless": w.signer(w.options(rekor)), "key": w.witnessed(w.keySigner(ECDSAP256), w.witnesses(rekor)),
	}
}

// TestSignRefusesALogEntryForSomethingElse has a trusted log prove, soundly, that it holds what nobody sent it: an entry
// that differs in one thing.
func TestSignRefusesALogEntryForSomethingElse(t *testing.T) {
	other := must(x509.MarshalPKIXPublicKey(ecKey(t).Public()))
	for name, change := range map[string]func(r *rekortiles.HashedRekordRequestV002){
		"payload": func(r *rekortiles.HashedRekordRequestV002) {
			sum := sha256.Sum256([]byte("another"))
			r.Digest = sum[:]
		},
		"signature": func(r *rekortiles.HashedRekordRequestV002) { r.Signature.Content[len(r.Signature.Content)-1] ^= 1 },
		"key": func(r *rekortiles.HashedRekordRequestV002) {
			r.Signature.Verifier.Verifier = &rekortiles.Verifier_PublicKey{PublicKey: &rekortiles.PublicKey{RawBytes: other}}
		},
	} {
		for who := range newWorld(t).loggedSigners(2) {
			t.Run(fmt.Sprintf("%s, another %s", who, name), func(t *testing.T) {
				w := newWorld(t)
				by := w.loggedSigners(2)[who]
				w.next("rekor2", w.entered(2, func(body []byte) []byte {
					var request rekortiles.CreateEntryRequest
					if err := protojson.Unmarshal(body, &request); err != nil {
						t.Error(err)
					}
					change(request.GetHashedRekordRequestV002())
					return must(protojson.Marshal(&request))
				}))
				_, err := by.Sign(t.Context(), inToto, []byte(statement))
				failed(t, w, 3, err, "log entry")
				mustSign(t, by, statement)
			})
		}
	}
}

// TestSignRefusesALogEntryOfEarlier does the same with what a log was sent before: Rekor v1 looks at what it enters.
func TestSignRefusesALogEntryOfEarlier(t *testing.T) {
	for i, rekor := range []int{1, 2} {
		for _, who := range []string{"keyless", "key"} {
			for name, earlier := range map[string]func(w *world, by Signer) (Signer, string){
				"another payload":            func(_ *world, by Signer) (Signer, string) { return by, `{"another":"statement"}` },
				"another signature":          func(_ *world, by Signer) (Signer, string) { return by, statement },
				"another key or certificate": func(w *world, _ Signer) (Signer, string) { return w.loggedSigners(rekor)[who], statement },
			} {
				t.Run(fmt.Sprintf("rekor v%d, %s, %s", rekor, who, name), func(t *testing.T) {
					w := newWorld(t)
					by := w.loggedSigners(rekor)[who]
					part := fmt.Sprintf("rekor%d", rekor)
					var before []byte
					w.next(part, w.entered(rekor, func(body []byte) []byte { before = body; return body }))
					first, payload := earlier(w, by)
					mustSign(t, first, payload)
					w.next(part, w.entered(rekor, func([]byte) []byte { return before }))
					_, err := by.Sign(t.Context(), inToto, []byte(statement))
					failed(t, w, 2+i, err, "log entry")
					mustSign(t, by, statement)
				})
			}
		}
	}
}
