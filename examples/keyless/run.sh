#!/bin/sh
# Sign as a person or a job does, without a key to keep: with a real Sigstore, on this machine. Then verify without it,
# and see who is not believed. Prints each command before its output. Needs Go and, the first time, some minutes to
# build the servers; works in a temporary folder of its own.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
server=
trap 'test -z "$server" || end; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

cd "$top"
test -x bin/hallmark || make -s build
make -s sigstore-tools
go build -o "$work/labsigstore" ./test/lab/sigstore/labsigstore
PATH="$top/bin:$work:$PATH"
cd "$work"

say() { printf '\n# %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

# refused runs a command that must answer with exit code 1.
refused() {
	printf '$ %s\n' "$*"
	code=0
	"$@" || code=$?
	printf 'exit code %d\n' "$code"
	test "$code" -eq 1 || { echo "keyless: exit code $code, not 1" >&2; exit 1; }
}

# begin runs a Sigstore whose files are in folder $1, and returns once all of its servers answer.
begin() {
	labsigstore serve "$1" >/dev/null &
	server=$!
	tries=0
	until test -f "$1/env"; do
		tries=$((tries + 1))
		test "$tries" -le 600 && kill -0 "$server" 2>/dev/null || { echo "keyless: sigstore did not start" >&2; exit 1; }
		sleep 0.1
	done
}

# end stops it.
end() {
	kill "$server" 2>/dev/null || true
	wait "$server" || true
	server=
}

say "Somebody else's Sigstore: all that we want of it is whom its users trust."
begin other
end
echo "other/trusted_root.json"

say "Ours: Fulcio, Rekor, a timestamp authority, and an identity provider that takes our word for who we are."
begin sigstore
. sigstore/env
echo "identity provider  $ISSUER"

say "A model, and a token that says who is signing it. In CI the platform provides one."
mkdir model
printf '\065\000\000\000\000\000\000\000{"w":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}weights.' >model/model.safetensors
(umask 077 && labsigstore token "$ISSUER" trainer@example.com >token)

say "Say once which Sigstore counts. A public one, or your own, publishes both files through TUF: hallmark trust update."
export HALLMARK_TRUST_DIR="$work/trust"
run hallmark trust import sigstore/trusted_root.json --signing-config sigstore/signing_config.json

say "Sign it: a key for this one time, a certificate that says whose it was, a timestamp, two log entries."
run hallmark sign model --identity-token-file token
run hallmark inspect model

say "The servers are gone. What they said is in the bundle."
end
run hallmark verify model --identity trainer@example.com --identity-provider "$ISSUER" --offline

say "The same bundle for another identity, another provider, another trust root: no."
refused hallmark verify model --identity somebody@example.com --identity-provider "$ISSUER" --offline
refused hallmark verify model --identity trainer@example.com --identity-provider https://accounts.example.com --offline
refused hallmark verify model --trusted-root other/trusted_root.json --identity trainer@example.com --identity-provider "$ISSUER" --offline

say "In a registry it is the same."
run hallmark push model oci:layout:v1
run hallmark verify oci:layout:v1 --identity trainer@example.com --identity-provider "$ISSUER" --offline
printf '\ndone\n'
