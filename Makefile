# `make check` is what CI runs, no more and no less. Its tools are in tools/go.mod, a module of their
# own, so that what Steward itself depends on stays small; they are built on first use and then cached.

TOOL := go tool -modfile=tools/go.mod

.DEFAULT_GOAL := help
.PHONY: help check format vet lint test clients race fmt bench demo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: format vet lint test clients race ## everything that must pass, as CI runs it

format: ## fail if a file is not formatted
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then \
		echo "not formatted (run: make fmt):"; echo "$$unformatted"; exit 1; fi

vet: ## look for mistakes the compiler lets pass
	go vet ./...

lint: ## staticcheck, and the linters that .golangci.yml argues for
	$(TOOL) staticcheck ./...
	$(TOOL) golangci-lint run

test: ## the tests, as in the README
	go test ./...

clients: ## hold what we write and serve against tools, servers and engines that are not ours
	cd internal/ledger/clients && go test ./...
	cd internal/ledger/witnesstest && go test ./...
	cd internal/keyring/transit/openbao && go test ./...
	cd internal/blob/gatewaytest && go test ./...
	cd internal/sandbox/clients && go test -count=1 ./... # programs from npm, against a build of ours that no cache of results knows
	cd internal/ledger/duckdb && CGO_ENABLED=1 go test ./... # an engine in C++

race: ## the tests again under the race detector, but for long ones without concurrency (needs a C compiler)
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 go test -race -short ./... # without it each process ends a second late

fmt: ## format every file
	gofmt -w .

bench: ## the benchmarks, one line of JSON a figure
	@go test -run '^$$' -bench . ./... | go run -C tools ./benchlines

demo: ## the tour: nothing to set up
	go run ./cmd/steward demo
