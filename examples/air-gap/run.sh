#!/bin/sh
# An artifact and its evidence cross an air gap in one file, and are verified on the other side with no network.
# Prints each command before its output. Needs Go, and nothing else; works in a temporary folder of its own.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

cd "$top"
test -x bin/hallmark || make -s build
PATH="$top/bin:$PATH"
cd "$work"

say() { printf '\n# %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

say "Outside: a signed model in a layout, as it would lie in a registry."
mkdir model
printf '\065\000\000\000\000\000\000\000{"w":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}weights.' >model/model.safetensors
run hallmark keygen publisher
run hallmark sign model --private-key publisher.key
run hallmark push model oci:outside:v1

say "Into one file, with everything that refers to it. Digests stay."
run hallmark copy oci:outside:v1 oci-archive:model.tar:v1

say "On the medium: verified without unpacking, without a network."
run hallmark verify oci-archive:model.tar:v1 --public-key publisher.pub --offline

say "Inside: into the store there, verified, and fetched."
run hallmark copy oci-archive:model.tar:v1 oci:inside:v1
run hallmark verify oci:inside:v1 --public-key publisher.pub --offline
run hallmark pull oci:inside:v1 serve --public-key publisher.pub --offline
run diff -r model serve

say "A medium that was altered is not believed."
cp model.tar altered.tar
offset=$(grep -a -b -o 'weights\.' altered.tar | head -n 1 | cut -d: -f1)
printf 'W' | dd of=altered.tar bs=1 seek="$offset" conv=notrunc 2>/dev/null
printf '$ %s\n' "hallmark pull oci-archive:altered.tar:v1 bad --public-key publisher.pub --offline"
code=0
hallmark pull oci-archive:altered.tar:v1 bad --public-key publisher.pub --offline || code=$?
printf 'exit code %d\n' "$code"
test "$code" -ne 0 && test ! -e bad
printf '\ndone\n'
