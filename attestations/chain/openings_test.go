package chain

import (
	"testing"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

func TestOpeningsRememberNothingThatFailed(t *testing.T) {
	var o Openings
	item := Item{Where: "here", Bundle: []byte("no bundle")}
	for range 2 {
		if b := o.open(item, trust.Roots{}, true); len(b.evidence.Findings) != 1 || b.attestation != nil {
			t.Errorf("opened %+v", b)
		}
	}
	if len(o.kept) != 0 {
		t.Errorf("%d are remembered", len(o.kept))
	}
}
