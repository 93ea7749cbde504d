package signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor/pkg/generated/client/entries"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"
)

// newLogClient returns sigstore-go's Rekor over transport. Its own HTTP clients can't be given one, so both versions'
// come from here.
func newLogClient(server root.Service, transport http.RoundTripper) (*sign.Rekor, error) {
	base, err := url.Parse(server.URL)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: transport}
	options := &sign.RekorOptions{BaseURL: server.URL, Version: server.MajorAPIVersion, Timeout: unlimited}
	if server.MajorAPIVersion == rekorV2 {
		options.ClientV2 = &tilesClient{url: base.JoinPath("api/v2/log/entries").String(), http: client}
		return sign.NewRekor(options), nil
	}
	runtime := httptransport.NewWithClient(base.Host, "/"+strings.Trim(base.Path, "/"), []string{base.Scheme}, client)
	options.Client = &entriesClient{entries.New(runtime, strfmt.Default)}
	return sign.NewRekor(options), nil
}

// tilesClient adds entries to a Rekor v2 log.
type tilesClient struct {
	url  string
	http *http.Client
}

// Add implements sign.RekorV2Client.
func (c *tilesClient) Add(ctx context.Context, entry any) (*protorekor.TransparencyLogEntry, error) {
	hashed, ok := entry.(*rekortiles.HashedRekordRequestV002)
	if !ok {
		return nil, fmt.Errorf("log entries of type %T are not supported", entry)
	}
	request, err := protojson.Marshal(&rekortiles.CreateEntryRequest{
		Spec: &rekortiles.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: hashed},
	})
	if err != nil {
		return nil, fmt.Errorf("encode log entry: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body) // capped by the exchange
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	var logged protorekor.TransparencyLogEntry
	if err := protojson.Unmarshal(answer, &logged); err != nil {
		return nil, fmt.Errorf("decode log entry: %w", err)
	}
	return &logged, nil
}

// entriesClient is Rekor v1's generated client with a look at what it got: sigstore-go takes members for granted that a
// server may leave out, and would panic.
type entriesClient struct {
	entries.ClientService
}

// CreateLogEntry implements sign.RekorClient.
func (c *entriesClient) CreateLogEntry(params *entries.CreateLogEntryParams, opts ...entries.ClientOption) (*entries.CreateLogEntryCreated, error) {
	created, err := c.ClientService.CreateLogEntry(params, opts...)
	if err != nil {
		return nil, err
	}
	entry, ok := created.Payload[created.ETag]
	if !ok {
		return nil, errors.New("the answer does not hold the entry that it names")
	}
	return created, checkLogEntry(entry)
}

// GetLogEntryByUUID implements sign.RekorClient.
func (c *entriesClient) GetLogEntryByUUID(params *entries.GetLogEntryByUUIDParams, opts ...entries.ClientOption) (*entries.GetLogEntryByUUIDOK, error) {
	got, err := c.ClientService.GetLogEntryByUUID(params, opts...)
	if err != nil {
		return nil, err
	}
	if len(got.Payload) != 1 {
		return nil, fmt.Errorf("the answer holds %d entries, not one", len(got.Payload))
	}
	for _, entry := range got.Payload {
		err = checkLogEntry(entry)
	}
	return got, err
}

func checkLogEntry(e models.LogEntryAnon) error {
	if e.LogID == nil || e.LogIndex == nil || e.IntegratedTime == nil || e.Body == nil {
		return errors.New("the log entry is incomplete")
	}
	if e.Verification == nil || e.Verification.InclusionProof == nil {
		return errors.New("the log entry has no inclusion proof")
	}
	proof := e.Verification.InclusionProof
	if proof.LogIndex == nil || proof.RootHash == nil || proof.TreeSize == nil || proof.Checkpoint == nil {
		return errors.New("the log entry's inclusion proof is incomplete")
	}
	return nil
}
