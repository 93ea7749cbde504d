# Each target is a line that you could type yourself.
export CGO_ENABLED ?= 0

.PHONY: build test e2e sigstore-tools bench lint quickstart

build: ## bin/hallmark, one static binary
	go build -trimpath -ldflags=-s -o bin/hallmark ./cmd/hallmark

test: ## every test that needs nothing but Go
	go test -timeout 30m ./...

e2e: sigstore-tools ## the longer suites: real peers, then every fuzz target for a while
	HALLMARK_E2E=1 go test -count=1 -timeout 30m ./test/... ./examples ./pkg/manifest ./registry/index && go run ./test/fuzz -time 3s

sigstore-tools: ## the real Fulcio, Rekor and timestamp server, into the user's cache folder
	go run ./test/lab/sigstore/labsigstore install

bench: ## ours against peers, in one run; installs the peers that it can
	go run ./test/bench

lint: ## format, vet, staticcheck
	go run ./test/lint

quickstart: build ## key, real model, sign, verify, push, pull
	./examples/quickstart/run.sh
