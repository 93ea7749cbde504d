#!/bin/sh
# A registry with thirty models in five families, of which something is wrong with a few: an audit finds them all. Then a
# dataset turns out to be poisoned, a tag moves, and the next audit says so. Prints each command before its output. Needs
# Go, and nothing else; works in a temporary folder of its own.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

cd "$top"
test -x bin/hallmark || make -s build
go build -o "$work/world" ./examples/registry-audit/world
PATH="$top/bin:$PATH"
cd "$work"

say() { printf '\n# %s\n' "$*"; }

# run runs a command, which must answer with exit code $want, 0 where that is not set.
run() {
	printf '$ %s\n' "$*"
	code=0
	"$@" >output || code=$?
	cat output
	test "$code" -eq 0 || printf 'exit code %d\n' "$code"
	test "$code" -eq "${want:-0}" || { echo "registry-audit: exit code $code, not ${want:-0}" >&2; exit 1; }
	want=0
}

# found fails unless the last output has a line that matches $1, $2 times.
found() {
	n=$(grep -c -- "$1" output || true)
	test "$n" -eq "$2" || { echo "registry-audit: $n lines match $1, not $2" >&2; exit 1; }
}

./world . &
server=$!
tries=0
until test -f address; do
	tries=$((tries + 1))
	test "$tries" -le 100 || { echo "registry-audit: the registry did not start" >&2; exit 1; }
	sleep 0.1
done
registry=$(cat address)

say "Keys: of who trains and of who looks after the data. A stranger has one too, and a contractor a certificate that ends in three weeks."
run hallmark keygen trainer
run hallmark keygen data
hallmark keygen stranger >/dev/null
run hallmark revoke --init --list revoked.jsonl --expires 2160h --private-key data.key

class=io.github.hallmark-project.digest-class role=io.github.hallmark-project.role
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)

# input prints an input of provenance: ROLE NAME
input() {
	digest=$(hallmark digest "$2" --quiet)
	printf '{"name": "%s", "uri": "oci://%s/models/%s@%s", "digest": {"sha256": "%s"}, "annotations": {"%s": "artifact", "%s": "%s"}},\n' \
		"$2" "$registry" "$2" "$digest" "${digest#sha256:}" "$class" "$role" "$1"
}

# made makes, signs and pushes a model: NAME KIND BUILD-TYPE KEY, and its inputs on stdin.
made() {
	mkdir "$1"
	echo "weights of $1" >"$1/model.safetensors"
	cat >provenance.json <<END
{"buildDefinition": {"buildType": "https://github.com/hallmark-project/hallmark/attestations/build/$3/v1", "externalParameters": {}, "resolvedDependencies": [
$(cat)
{"name": "train", "uri": "git+https://github.com/acme/train", "digest": {"gitCommit": "0123456789012345678901234567890123456789"}, "annotations": {"$class": "gitCommit", "$role": "source"}}]},
"runDetails": {"builder": {"id": "https://acme.example/builders/k8s-train"}, "metadata": {"startedOn": "$now", "finishedOn": "$now"}}}
END
	if [ "$4" != nobody ]; then
		hallmark sign "$1" --kind "$2" --private-key "$4.key" --quiet >/dev/null
		hallmark attest "$1" --type provenance --kind "$2" --from provenance.json --private-key "$4.key" --quiet >/dev/null
	fi
	hallmark push "$1" "$registry/models/$1:v1" --quiet >/dev/null
}

# signer says whose signature a model has, where it is not the trainer's.
signer() {
	case $1 in
	int8-d | merge-e) echo nobody ;;
	code-b) echo stranger ;;
	*) echo trainer ;;
	esac
}

say "Thirty models in five families, each with a dataset: bases, fine-tunes, adapters, quantisations, merges. Two are unsigned, a stranger signed one, and one dataset is the contractor's."
for f in a b c d e; do
	mkdir "corpus-$f"
	echo "texts of $f" >"corpus-$f/train.jsonl"
	case $f in
	c) hallmark sign "corpus-$f" --kind dataset --private-key contractor.key --signing-certificate contractor.pem --certificate-chain ca.pem --quiet >/dev/null ;;
	*) hallmark sign "corpus-$f" --kind dataset --private-key data.key --quiet >/dev/null ;;
	esac
	hallmark push "corpus-$f" "$registry/data/corpus-$f:v1" --quiet >/dev/null
	input dataset.train "corpus-$f" | made "base-$f" model train "$(signer base-$f)"
	{ input base-model "base-$f"; input dataset.train "corpus-$f"; } | made "chat-$f" model finetune "$(signer chat-$f)"
	{ input base-model "base-$f"; input dataset.train "corpus-$f"; } | made "code-$f" model finetune "$(signer code-$f)"
	{ input base-model "base-$f"; input dataset.train "corpus-$f"; } | made "lora-$f" adapter adapter "$(signer lora-$f)"
	input base-model "chat-$f" | made "int8-$f" model quantize "$(signer int8-$f)"
	{ input merge-parent "chat-$f"; input merge-parent "code-$f"; } | made "merge-$f" model merge "$(signer merge-$f)"
done

cat >prod.yaml <<'END'
apiVersion: hallmark/v1
kind: Policy
name: prod
version: 1
identities:
  trainer: {key: trainer.pub}
  data: {key: data.pub}
  contractor: {ca: ca.pem, subject: "spiffe://acme/contractor"}
builders: [{id: https://acme.example/builders/k8s-train, signers: [trainer]}]
revocations: {from: revoked.jsonl, signers: [data]}
target: {model: model, adapter: model, dataset: corpus}
steps:
  model:
    signature: [trainer]
    provenance: {types: [train, finetune, adapter, quantize, merge], signers: [trainer]}
    inputs:
      base-model: {step: model, min: 0}
      merge-parent: {step: model, min: 0}
      dataset.train: {step: corpus, min: 0}
      source: {uri: ["git+https://github.com/acme/train"]}
  corpus: {kind: dataset, signature: [data, contractor]}
END

say "Audit it all. The unsigned ones, the stranger's and the merge that was made from that are a no; what the contractor's certificate carries holds for three weeks."
want=1
run hallmark audit "$registry" --policy prod.yaml --state seen --quiet
found '^35 artifacts: 31 yes, 4 no, 0 unknown; 2 unsigned; 0 other things; 0 could not be read$' 1
found '/models/code-b@sha256:[0-9a-f]*  key [0-9a-f]*: nobody whom the policy knows$' 1
found '/models/merge-b@sha256:[0-9a-f]*  merge-parent code-b sha256:[0-9a-f]*  .*untrusted-signer' 1
found 'certificate authority CN=Acme contractors$' 1
found '^  .*  yes → no  .*  from ' 7

say "What would a poisoned dataset reach? Six models were made from it."
corpus=$(hallmark digest corpus-a --quiet)
run hallmark impact "$corpus" --in "$registry" --public-key trainer.pub --public-key data.pub
found 'models/[a-z0-9]*-a' 6

say "It is poisoned: revoke it, with everything that was made from it. Meanwhile somebody moves a tag."
run hallmark revoke "$corpus" --scope descendants --reason "poisoned" --list revoked.jsonl --expires 2160h --private-key data.key
mkdir other
echo "other weights" >other/model.safetensors
hallmark push other "$registry/models/lora-d:v1" --quiet >/dev/null

say "The next audit says both, and which verdicts are new: it asked for everything again."
want=1
run hallmark audit "$registry" --policy prod.yaml --state seen --quiet
found '^35 artifacts: 23 yes, 12 no, 0 unknown; 3 unsigned;' 1
found "^revoked  $corpus\$" 1
found '^  refused  ' 7
found '/models/lora-d:v1  sha256:[0-9a-f]* → sha256:[0-9a-f]*$' 1

say "Nothing changes any more: the next one uses all verdicts again, and writes a page to send to somebody."
hallmark audit "$registry" --policy prod.yaml --state seen --format html >audit.html || test $? -eq 1
want=1
run hallmark audit "$registry" --policy prod.yaml --state seen --quiet
found "^35 verdicts are an earlier audit's" 1
grep -q '<h2>Revoked, and what is below</h2>' audit.html

say "Which controls does the evidence support?"
run hallmark audit "$registry" --policy prod.yaml --controls ai-security --fail-on unknown
printf '\ndone\n'
