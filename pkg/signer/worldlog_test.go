package signer

import (
	"bytes"
	"context"
	"crypto"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/digitorus/timestamp"
	"github.com/go-openapi/runtime"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	rekorutil "github.com/sigstore/rekor/pkg/util"
	signing "github.com/sigstore/sigstore/pkg/signature"
	f_log "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/protobuf/encoding/protojson"
)

// The logs of the tests' Sigstore put every entry into a tree of its own, of size one.

func (w *world) serveTSA(rw http.ResponseWriter, r *http.Request) {
	request := must(timestamp.ParseRequest(must(io.ReadAll(r.Body))))
	stamp := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Nonce: request.Nonce,
		Time: w.time().Add(time.Second), SerialNumber: big.NewInt(1), Policy: asn1.ObjectIdentifier{1, 2, 3},
	}
	rw.WriteHeader(http.StatusCreated)
	_, _ = rw.Write(must(stamp.CreateResponseWithOpts(w.tsa.cert, w.tsa.key, crypto.SHA256)))
}

func (w *world) serveRekorV1(rw http.ResponseWriter, r *http.Request) {
	proposed := must(models.UnmarshalProposedEntry(r.Body, runtime.JSONConsumer()))
	entry := must(types.CreateVersionedEntry(proposed))
	uuid, logged := w.enterV1(must(types.CanonicalizeEntry(r.Context(), entry)))
	rw.Header().Set("ETag", uuid)
	rw.Header().Set("Location", "/api/v1/log/entries/"+uuid)
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(rw).Encode(map[string]any{uuid: logged})
}

func (w *world) enterV1(body []byte) (uuid string, logged map[string]any) {
	hash := rfc6962.DefaultHasher.HashLeaf(body)
	integrated := w.time().Add(2 * time.Second).Unix()
	id := hex.EncodeToString(w.rekorID[:])
	text := base64.StdEncoding.EncodeToString(body)
	promise := must(json.Marshal(map[string]any{"body": text, "integratedTime": integrated, "logIndex": 7, "logID": id}))
	key := must(signing.LoadECDSASignerVerifier(w.rekor, crypto.SHA256))
	checkpoint := must(rekorutil.CreateAndSignCheckpoint(context.Background(), "rekor.test", 1, 1, hash, key))
	uuid = hex.EncodeToString(hash)
	logged = map[string]any{
		"body": text, "integratedTime": integrated, "logIndex": 7, "logID": id,
		"verification": map[string]any{
			"signedEntryTimestamp": w.signLog(must(jsoncanonicalizer.Transform(promise))),
			"inclusionProof": map[string]any{
				"checkpoint": string(checkpoint), "hashes": []string{}, "logIndex": 0, "rootHash": uuid, "treeSize": 1,
			},
		},
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries[uuid] = logged
	return uuid, logged
}

func (w *world) serveRekorV1Entry(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	uuid := r.PathValue("uuid")
	logged, ok := w.entries[uuid]
	if !ok {
		http.NotFound(rw, r)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(map[string]any{uuid: logged})
}

// alreadyLogged is Rekor v1's answer to an entry that it has: it enters it and says where it is.
func (w *world) alreadyLogged(rw http.ResponseWriter, r *http.Request) {
	proposed := must(models.UnmarshalProposedEntry(r.Body, runtime.JSONConsumer()))
	uuid, _ := w.enterV1(must(types.CanonicalizeEntry(r.Context(), must(types.CreateVersionedEntry(proposed)))))
	rw.Header().Set("Location", "/api/v1/log/entries/"+uuid)
	answer(http.StatusConflict, `{"code":409,"message":"an equivalent entry already exists"}`)(rw, r)
}

// digestAlgorithms are the hashes that the log knows, by their length in bytes.
var digestAlgorithms = map[int]protocommon.HashAlgorithm{
	32: protocommon.HashAlgorithm_SHA2_256, 48: protocommon.HashAlgorithm_SHA2_384, 64: protocommon.HashAlgorithm_SHA2_512,
}

func (w *world) serveRekorV2(rw http.ResponseWriter, r *http.Request) {
	var request rekortiles.CreateEntryRequest
	if err := protojson.Unmarshal(must(io.ReadAll(r.Body)), &request); err != nil {
		http.Error(rw, "bad request", http.StatusBadRequest)
		return
	}
	hashed := request.GetHashedRekordRequestV002()
	body := must(jsoncanonicalizer.Transform(must(protojson.Marshal(&rekortiles.Entry{
		ApiVersion: "0.0.2", Kind: "hashedrekord",
		Spec: &rekortiles.Spec{Spec: &rekortiles.Spec_HashedRekordV002{HashedRekordV002: &rekortiles.HashedRekordLogEntryV002{
			Data:      &protocommon.HashOutput{Algorithm: digestAlgorithms[len(hashed.Digest)], Digest: hashed.Digest},
			Signature: hashed.Signature,
		}}},
	}))))
	hash := rfc6962.DefaultHasher.HashLeaf(body)
	key := must(signing.LoadECDSASignerVerifier(w.rekor, crypto.SHA256))
	signer := must(rekornote.NewNoteSigner(r.Context(), "rekor.test", key))
	checkpoint := must(note.Sign(&note.Note{Text: string(f_log.Checkpoint{Origin: "rekor.test", Size: 1, Hash: hash}.Marshal())}, signer))
	rw.WriteHeader(http.StatusCreated)
	_, _ = io.Copy(rw, bytes.NewReader(must(protojson.Marshal(&protorekor.TransparencyLogEntry{
		LogId:       &protocommon.LogId{KeyId: w.rekorID[:]},
		KindVersion: &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
		InclusionProof: &protorekor.InclusionProof{
			TreeSize: 1, RootHash: hash, Checkpoint: &protorekor.Checkpoint{Envelope: string(checkpoint)},
		},
		CanonicalizedBody: body,
	}))))
}

// unlogged is a bundle that is ready to be logged.
func unlogged(t *testing.T, id *identity) *protobundle.Bundle {
	t.Helper()
	sig, _, err := id.keypair.SignData(t.Context(), dsse.PAE(inToto, []byte(statement)))
	if err != nil {
		t.Fatal(err)
	}
	return &protobundle.Bundle{
		VerificationMaterial: &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_Certificate{
			Certificate: &protocommon.X509Certificate{RawBytes: id.leaf.Raw},
		}},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: []byte(statement), PayloadType: inToto, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	}
}
