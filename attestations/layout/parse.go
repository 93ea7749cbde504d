package layout

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/in-toto/in-toto-golang/in_toto"
)

// Caps on what is read.
const (
	MaxFile  = 8 << 20 // bytes of a layout or link
	MaxLinks = 10_000  // links
)

// parse reads a layout or link, in either of its forms. The library, which reads files alone and takes the last of two
// members of one name, gets what was strictly read before.
func parse(raw []byte) (in_toto.Metadata, error) {
	if len(raw) > MaxFile {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(raw), MaxFile)
	}
	var outer struct {
		Payload *string        `json:"payload"`
		Rest    jsontext.Value `json:",embed"`
	}
	if err := json.Unmarshal(raw, &outer); err != nil {
		return nil, err
	}
	if outer.Payload != nil {
		payload, err := base64.StdEncoding.DecodeString(*outer.Payload)
		if err != nil {
			return nil, fmt.Errorf("payload: %w", err)
		}
		var inner map[string]jsontext.Value
		if err := json.Unmarshal(payload, &inner); err != nil {
			return nil, fmt.Errorf("payload: %w", err)
		}
		if !jsontext.Value(payload).IsValid() {
			return nil, fmt.Errorf("payload: no valid JSON")
		}
	}
	dir, err := os.MkdirTemp("", "hallmark-layout-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	at := filepath.Join(dir, "metadata")
	if err := os.WriteFile(at, raw, 0o600); err != nil {
		return nil, err
	}
	return in_toto.LoadMetadata(at)
}
