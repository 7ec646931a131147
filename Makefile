# One set of flags for every target, so that all of them share one build cache.
export GOFLAGS := -trimpath -buildvcs=false
export GOTOOLCHAIN := local
export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## run a whole incident; DECISION=terminate|keep|release, EVENT=events/….json
	@go run ./cmd/cordon demo $(if $(DECISION),--decision $(DECISION)) $(or $(EVENT),events/plain.json)

.PHONY: test
test: ## prove the project; Go alone
	go vet ./...
	go test ./...

.PHONY: race
race: ## a seed a route under the race detector; needs a C compiler
	@command -v $${CC:-cc} >/dev/null || { echo "make race: the race detector needs a C compiler; install one (gcc or clang) or set CC" >&2; exit 1; }
	CGO_ENABLED=1 go test -race -short ./internal/vtime ./internal/asl ./internal/rehearsal

.PHONY: bench-burst
bench-burst: ## three hundred findings at once against EC2's token buckets, in virtual time
	@cd internal/burst && go test -count=1 -timeout 2h -run '^TestThreeHundred$$' -full

# sam build calls this once a function: BuildMethod makefile, CodeUri the root.
build-%Function:
	@mkdir -p "$(ARTIFACTS_DIR)"
	GOOS=linux GOARCH=$(or $(GOARCH),arm64) CGO_ENABLED=0 go build -tags lambda.norpc -ldflags "-s -w" \
		-o "$(ARTIFACTS_DIR)/bootstrap" ./functions/$(shell echo $* | tr A-Z a-z)
