package token_test

import (
	"testing"

	"github.com/hallmark-project/hallmark/pkg/token"
)

// TestWhatOffersATokenIsAVariableOfOne: whoever has none of the variables is offered nothing by them.
func TestWhatOffersATokenIsAVariableOfOne(t *testing.T) {
	for name, want := range map[string]bool{
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN": true, "ACTIONS_ID_TOKEN_REQUEST_URL": true, "SIGSTORE_ID_TOKEN": true, "KUBERNETES_ID_TOKEN_FILE": true,
		"SPIFFE_JWT_SVID_FILE": true, "SPIFFE_ENDPOINT_SOCKET": true, "BUILDKITE_AGENT_ACCESS_TOKEN": true,
		"PATH": false, "GITHUB_ACTIONS": false, "HF_TOKEN": false, "": false,
	} {
		if got := token.IsVariable(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
