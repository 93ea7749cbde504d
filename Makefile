# Each target is a line that you could type yourself.
export CGO_ENABLED ?= 0

.PHONY: build test e2e sigstore-tools bench mutation lint quickstart

build: ## bin/hallmark, one static binary
	go build -trimpath -ldflags=-s -o bin/hallmark ./cmd/hallmark

test: ## every test that needs nothing but Go
	go test -timeout 30m ./...

e2e: sigstore-tools ## the longer suites: real peers, then every fuzz target for a while
	HALLMARK_E2E=1 go test -count=1 -timeout 30m ./test/... ./examples ./pkg/manifest ./registry/index && go run ./test/fuzz -time 3s

sigstore-tools: ## the real Fulcio, Rekor and timestamp server, into the user's cache folder
	go run ./test/lab/sigstore/labsigstore install

bench: ## ours against peers, in one run; installs the peers that it can. Then whole chains
	go run ./test/bench
	go test -run none -bench Chain ./attestations
	go test -run none -bench Walk ./pkg/policy

# Every test run is a new one, so that how long a mutant may take is measured, and a refusal by vet is not taken for a test's.
MUTATE = GOFLAGS="-count=1 -vet=off" go run github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0 unleash --workers 2 --timeout-coefficient 40 --threshold-efficacy 85

mutation: ## how many of the faults that are put into them the tests of what decides notice; takes about an hour
	$(MUTATE) ./pkg/policy
	$(MUTATE) ./attestations/chain

lint: ## format, vet, staticcheck
	go run ./test/lint

quickstart: build ## key, real model, sign, verify, push, pull
	./examples/quickstart/run.sh
