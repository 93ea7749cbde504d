#!/bin/sh
# The whole story once: a key, a real model, sign, verify, one flipped byte, push, verify in the registry, pull.
# Prints each command before its output. Needs Go, and nothing else; works in a temporary folder of its own.
set -eu

module=github.com/yalue/onnxruntime_go@v1.27.0
model=test_data/sklearn_randomforest.onnx
digest=1280af9bc628c4fca5d20c63368c1af1c1051cf7d92347dbfbb954c4771a25b7

top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

cd "$top"
test -x bin/hallmark || make -s build
(cd "$top" && go build -o "$work/registry" ./examples/quickstart/registry)
PATH="$top/bin:$PATH"
cd "$work"

say() { printf '\n# %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

# refused runs a command that must answer with exit code $1.
refused() {
	want=$1
	shift
	printf '$ %s\n' "$*"
	code=0
	"$@" || code=$?
	printf 'exit code %d\n' "$code"
	test "$code" -eq "$want" || { echo "quickstart: exit code $code, not $want" >&2; exit 1; }
}

say "A model: a random forest in ONNX form, from a Go module, by name, version and digest."
mkdir model
folder=$(go mod download -json "$module" 2>/dev/null | sed -n 's/^.*"Dir": "\(.*\)",$/\1/p' || true)
if [ -n "$folder" ] && [ -f "$folder/$model" ]; then
	echo "$digest  $folder/$model" | sha256sum --check --quiet
	cp "$folder/$model" model/model.onnx
	chmod 644 model/model.onnx
	echo "fetched $model of $module"
else
	echo "no network: this is a small model that the example made itself"
	printf '\065\000\000\000\000\000\000\000{"w":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}weights.' >model/model.safetensors
fi
printf '# A model\n\nFor the quickstart.\n' >model/README.md

say "A key to sign with. In production this is a CI identity, a certificate or an HSM."
run hallmark keygen trainer

say "Its name follows from its bytes alone."
run hallmark digest model

say "Sign it."
run hallmark sign model --private-key trainer.key

say "Verify it, saying whom to believe."
run hallmark verify model --public-key trainer.pub

say "One flipped byte is a no, and the file is named."
cp -r model flipped
printf 'X' | dd of=flipped/README.md bs=1 seek=2 conv=notrunc 2>/dev/null
refused 1 hallmark verify flipped --public-key trainer.pub

say "So is somebody else's key."
run hallmark keygen stranger
refused 1 hallmark verify model --public-key stranger.pub

say "Put it into an OCI layout on disk, and verify it there."
run hallmark push model oci:layout:v1
run hallmark verify oci:layout:v1 --public-key trainer.pub

say "Start a registry on loopback; put it there too."
"$work/registry" "$work/address" &
server=$!
tries=0
until test -f address; do
	tries=$((tries + 1))
	test "$tries" -le 100 || { echo "quickstart: the registry did not start" >&2; exit 1; }
	sleep 0.1
done
registry=$(cat address)
run hallmark push model "$registry/models/forest:v1"

say "Verify it in the registry without downloading it. --quiet prints what to deploy: pinned by digest."
run hallmark verify "$registry/models/forest:v1" --public-key trainer.pub
run hallmark verify "$registry/models/forest:v1" --public-key trainer.pub --quiet

say "Pull it: verified first, checked while it is written. Then verify the files."
run hallmark pull "$registry/models/forest:v1" pulled --public-key trainer.pub
run hallmark verify pulled --public-key trainer.pub
run diff -r model pulled
printf '\ndone\n'
