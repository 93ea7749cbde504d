#!/bin/sh
# A policy over a whole chain: what examples/training made gets a yes, and then, each in turn, a no: a dataset is swapped,
# evidence is replayed, an approval is withdrawn, the wrong team tests, an older release comes back, an adapter meets another
# base, a registry hides what is new, a base is revoked. After each it is put right.
# Prints each command before its output. Needs Go, and nothing else. Usage: run.sh [FOLDER]
# FOLDER, which must not be there yet, is kept with all keys and artifacts; without, a temporary one is removed at the end.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
here=$top/examples/lineage
if [ $# -gt 0 ]; then
	folder=$1
else
	outer=$(mktemp -d)
	folder=$outer/lab
	trap 'rm -rf "$outer"' EXIT
	trap 'exit 130' INT TERM
fi

say() { printf '\n# %s\n' "$*"; }

# show prints a command as one would type it.
show() {
	printf '$'
	for word in "$@"; do
		case $word in
		*' '*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	echo
}

run() {
	show "$@"
	"$@"
}

# ends runs a command that has to end with an exit code, and prints that.
ends() {
	want=$1
	shift
	show "$@"
	code=0
	"$@" 2>&1 || code=$?
	printf 'exit code %d\n' "$code"
	test "$code" -eq "$want"
}

# tested prints the own name of the first test result that lies with an artifact.
tested() { hallmark inspect "$1" | awk '/test-result/ { found = 1 } found && $1 == "bundle" { print $2; exit }'; }

# approval_of prints the own name of the first approval by a lead that lies with an artifact.
approval_of() {
	hallmark inspect "$2" --public-key "$1.pub" | awk '/verified/ { theirs = $1 == "verified" } /approval/ { found = theirs } found && $1 == "bundle" { print $2; exit }'
}

# approve has both leads approve an artifact for something.
approve() {
	evidence=$(tested "$1")
	for lead in lead-1 lead-2; do
		run hallmark approve "$1" --decision approved --scope "$2" --evidence "$evidence" --expires 720h --private-key $lead.key --quiet
	done
}

# in_days prints the time in so many days.
in_days() {
	at=$(($(date +%s) + $1 * 86400))
	date -u -d "@$at" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -r "$at" +%Y-%m-%dT%H:%M:%SZ
}

say "The training, as in examples/training: from data to a release, each step stated."
if ! "$top/examples/training/run.sh" "$folder" >"$folder.log" 2>&1; then
	cat "$folder.log"
	exit 1
fi
rm "$folder.log"
work=$(cd "$folder" && pwd)
cd "$work"
PATH="$top/bin:$PATH"
cp "$here/policy.yaml" .
export HALLMARK_BUILDER=https://example.com/lab
test_set=$(hallmark digest --quiet test-set)

say "Who may revoke begins a list. It is empty, and has to be there all the same: nobody can then keep it back unnoticed."
run hallmark revoke --init --list oci:store:revoked --expires 72h --private-key data.key

say "The policy, in words."
run hallmark policy explain policy.yaml

say "May it be served? From the folders of those who made it, and from the store. What was seen is remembered in seen."
ends 0 hallmark verify robust-int8 --policy policy.yaml --state seen --evidence robust --evidence base --evidence train-set --evidence hard-set --evidence mnist
ends 0 hallmark verify oci:store:robust-int8 --policy policy.yaml --state seen --evidence oci:store --quiet

say "The policy's own tests: what it is to decide, today and later, whatever is seen of the world."
sed "s/@TODAY@/$(in_days 0)/; s/@IN-4-DAYS@/$(in_days 4)/; s/@IN-40-DAYS@/$(in_days 40)/" "$here/policy.test.yaml" >policy.test.yaml
ends 0 hallmark policy test policy.yaml

say "Somebody else, without a network and without the store, with the evidence that we export."
run hallmark export robust-int8 --policy policy.yaml --state seen --evidence oci:store --out exported
mkdir elsewhere
cp -R robust-int8 exported elsewhere
cd elsewhere
ends 0 hallmark verify robust-int8 --policy exported/policy.yaml --evidence exported --offline --release-floor stable=1 --quiet
cd ..

say "1. A dataset is swapped. The job reads another train-set, honestly says so, and attack, leads and release see nothing."
mkdir job
cp -R train-set job/train-set
sed '1,30s/^[0-9]*/7/' train-set/digits.csv >job/train-set/digits.csv
run hallmark run --type finetune --parameter method=adversarial --parameter seed=1 --input source=code --input base-model=base --input dataset.train=job/train-set --input dataset.train=hard-set --output job/robust --sign --private-key trainer.key -- ./digits finetune -model base -data job/train-set -more hard-set -seed 1 -output job/robust
run ./digits attack -model job/robust -data test-set -dataset "$test_set" -least 0.58 -report attack.json
run hallmark attest job/robust --type test-result --from attack.json --private-key red-team.key --quiet
approve job/robust production
run hallmark release job/robust --name acme/digits --version 1.1.0 --channel stable --sequence 2 --private-key release.key
ends 1 hallmark verify job/robust --policy policy.yaml --state seen --evidence oci:store --evidence job/train-set
say "Served is what was made from the right one."
ends 0 hallmark verify robust-int8 --policy policy.yaml --state seen --evidence oci:store --quiet

say "2. Evidence is replayed: a retrained model, with the test results, approvals and release of the one before."
run hallmark run --type finetune --parameter method=adversarial --parameter seed=2 --input source=code --input base-model=base --input dataset.train=train-set --input dataset.train=hard-set --output retrained --sign --private-key trainer.key -- ./digits finetune -model base -data train-set -more hard-set -seed 2 -output retrained
printf '$ %s\n' "sed 1,2d robust-int8/claims.sig >>retrained/claims.sig"
sed 1,2d robust-int8/claims.sig >>retrained/claims.sig
ends 1 hallmark verify retrained --policy policy.yaml --state seen --evidence oci:store
say "They hold for what they were made of."
ends 0 hallmark verify robust-int8 --policy policy.yaml --state seen --evidence oci:store --quiet

say "3. An approval is withdrawn. Times are whole seconds, and a no of the same second counts: hence the pause."
run hallmark approve robust-int8 --decision rejected --scope production --reason 'reads 7 as 1 on receipts' --private-key lead-2.key --quiet
ends 1 hallmark verify robust-int8 --policy policy.yaml --state seen --evidence oci:store
say "Receipts are no use that it is put to: lead-2 approves again."
sleep 1
run hallmark approve robust-int8 --decision approved --scope production --reason 'not for receipts' --evidence "$(tested robust-int8)" --expires 720h --private-key lead-2.key --quiet
ends 0 hallmark verify robust-int8 --policy policy.yaml --state seen --evidence oci:store --quiet

say "4. The wrong team tests: the trainers attack their own model, the leads believe it, and it is released."
run ./digits attack -model robust -data test-set -dataset "$test_set" -least 0.58 -report attack.json
run hallmark attest robust --type test-result --from attack.json --private-key trainer.key --quiet
approve robust production
run hallmark release robust --name acme/digits --version 1.1.0 --channel stable --sequence 2 --private-key release.key
ends 1 hallmark verify robust --policy policy.yaml --state seen --evidence oci:store
say "The red team attacks it too. It is then what was released last."
run hallmark attest robust --type test-result --from attack.json --private-key red-team.key --quiet
ends 0 hallmark verify robust --policy policy.yaml --state seen --evidence oci:store --quiet

say "5. The older release is deployed again."
ends 1 hallmark verify robust-int8 --policy policy.yaml --state seen --evidence oci:store
say "If that is meant, both leads say so."
approve robust-int8 rollback
ends 0 hallmark verify robust-int8 --policy policy.yaml --state seen --evidence oci:store --quiet

say "6. The adapter is served on another base: each is good, and they do not belong together."
ends 1 hallmark verify slanted robust-int8 --policy policy.yaml --state seen --evidence oci:store
ends 0 hallmark verify slanted robust --policy policy.yaml --state seen --evidence oci:store --quiet

say "7. The registry hides what is newest: it shows the store as it was before lead-2 rejected the model there."
run hallmark push robust oci:store:robust --quiet
run cp -R store before
run hallmark approve oci:store:robust --decision rejected --scope production --reason 'reads 7 as 1 on receipts' --attach-refusals --private-key lead-2.key --quiet
ends 1 hallmark verify oci:store:robust --policy policy.yaml --state seen --evidence oci:store
run mv store newest
run cp -R before store
say "What is left is good, so this is a yes. Nothing but its age ends it: the policy takes approvals of at most ninety days."
ends 0 hallmark verify oci:store:robust --policy policy.yaml --state seen --evidence oci:store --quiet
run rm -R store
run mv newest store
say "What must not be missed goes onto the list, which has to be there and to be new: the approval itself is revoked."
run hallmark revoke "$(approval_of lead-2 robust)" --class attestation --reason 'withdrawn by lead-2' --list oci:store:revoked --expires 72h --private-key data.key
ends 1 hallmark verify oci:store:robust --policy policy.yaml --state seen --evidence oci:store
run mv store newest
run cp -R before store
say "The list is hidden too. Who has seen it does not know any more. Who has not says yes, until the older one has run out."
ends 3 hallmark verify oci:store:robust --policy policy.yaml --state seen --evidence oci:store
ends 0 hallmark verify oci:store:robust --policy policy.yaml --release-floor stable=2 --evidence oci:store --quiet
run rm -R store
run mv newest store
say "The registry is put right, and lead-2 approves again."
sleep 1
run hallmark approve oci:store:robust --decision approved --scope production --reason 'not for receipts' --evidence "$(tested robust)" --expires 720h --private-key lead-2.key --quiet
ends 0 hallmark verify oci:store:robust --policy policy.yaml --state seen --evidence oci:store --quiet

say "8. The base is revoked, with all that was made from it. For these there is no way back: a list only grows."
run hallmark revoke "$(hallmark digest --quiet base)" --scope descendants --reason 'half of its digits were never ours to use' --list oci:store:revoked --expires 72h --private-key data.key
run hallmark push robust-int8 oci:store:robust-int8 --quiet
ends 1 hallmark verify oci:store:robust-int8 --policy policy.yaml --state seen --evidence oci:store
ends 1 hallmark verify slanted robust --policy policy.yaml --state seen --evidence oci:store --quiet
say "What was not made from it may still be used."
run hallmark verify train-set --public-key data.pub
printf '\ndone\n'
