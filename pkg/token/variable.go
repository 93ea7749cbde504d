package token

import "slices"

// variables are the environment variables of which one holds a token, or is all that it takes to get one.
var variables = []string{"ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "BUILDKITE_AGENT_ACCESS_TOKEN",
	"KUBERNETES_ID_TOKEN_FILE", "SIGSTORE_ID_TOKEN", "SPIFFE_ENDPOINT_SOCKET", "SPIFFE_JWT_SVID_FILE"}

// IsVariable reports whether the environment variable of this name holds an identity token or leads to one by a file, a
// request or a socket. A program that is to have no identity gets none of them; what it finds without being told, such as a
// metadata server or a file in its usual place, is still there.
func IsVariable(name string) bool { return slices.Contains(variables, name) }
