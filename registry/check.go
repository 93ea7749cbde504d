package registry

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/hallmark-project/hallmark/attestations"
)

// checkBundle returns an error unless b is one JSON object, strictly formed, that calls itself a Sigstore bundle, and is
// not too large. Whether it can be opened is another question.
func checkBundle(b []byte) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return errors.New("it is empty where a Sigstore bundle should be")
	}
	if int64(len(b)) > attestations.MaxSignatureBundle {
		return tooLarge(fmt.Sprintf("bundle of %d bytes", len(b)), attestations.MaxSignatureBundle)
	}
	var head struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return fmt.Errorf("it is not a Sigstore bundle: %w", err)
	}
	if !attestations.IsBundleMediaType(head.MediaType) {
		return fmt.Errorf("media type %q is not a Sigstore bundle's", head.MediaType)
	}
	return checkBundleSize(b)
}

// checkBundleSize lets only signatures on artifacts, which list every file, be larger than other bundles.
func checkBundleSize(b []byte) error {
	if len(b) <= attestations.MaxBundle {
		return nil
	}
	u, err := attestations.Bundle(b).Peek()
	if err == nil && (u.PredicateType == attestations.PredicateOMS || u.PredicateType == attestations.PredicateOMSLegacy) {
		return nil
	}
	return tooLarge(fmt.Sprintf("bundle of %d bytes", len(b)), attestations.MaxBundle)
}
