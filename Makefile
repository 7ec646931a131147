# One set of flags for every target, so that all of them share one build cache.
export GOFLAGS := -trimpath -buildvcs=false
export GOTOOLCHAIN := local
export CGO_ENABLED ?= 0

.PHONY: test
test: ## prove the project; Go alone
	go vet ./...
	go test ./...
