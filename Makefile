# One set of flags for every target, so that all of them share one build cache.
export GOFLAGS := -trimpath -buildvcs=false
export GOTOOLCHAIN := local
export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

# What the checks need besides Go, pinned, below this folder. A stamp is newer
# than the pins it was installed from; ask is what to do when that failed.
ask = { echo "make $(MAKECMDGOALS): $(1)" >&2; exit 1; }

.PHONY: tools
tools: bin/golangci-lint .venv/installed tools/node_modules/installed ## install what the checks need, pinned

bin/golangci-lint: tools/go.mod tools/go.sum
	@mkdir -p bin
	@echo "building golangci-lint (two minutes the first time)"
	@go -C tools build -o ../bin/ tool >bin/install.log 2>&1 || $(call ask,golangci-lint cannot be built; is the Go module proxy reachable? bin/install.log says more)
	@touch $@

.venv/installed: tools/requirements.txt tools/constraints.txt
	@command -v python3 >/dev/null || $(call ask,python3 is missing; install Python 3.10 or newer with its venv module)
	@echo "installing the Python tools into .venv"
	@python3 -m venv --clear .venv >/dev/null || $(call ask,python3 has no venv module; install it (Debian: python3-venv))
	@.venv/bin/pip install -r tools/requirements.txt -c tools/constraints.txt >.venv/install.log 2>&1 \
		|| $(call ask,the Python tools cannot be installed; is PyPI reachable? .venv/install.log says more)
	@touch $@

# In a venv of its own: what it needs and what sam needs exclude each other.
.venv-e2e/installed: e2e/requirements.txt e2e/constraints.txt
	@command -v python3 >/dev/null || $(call ask,python3 is missing; install Python 3.10 or newer with its venv module)
	@echo "installing the stand-ins of AWS into .venv-e2e"
	@python3 -m venv --clear .venv-e2e >/dev/null || $(call ask,python3 has no venv module; install it (Debian: python3-venv))
	@.venv-e2e/bin/pip install -r e2e/requirements.txt -c e2e/constraints.txt >.venv-e2e/install.log 2>&1 \
		|| $(call ask,the stand-ins of AWS cannot be installed; is PyPI reachable? .venv-e2e/install.log says more)
	@touch $@

tools/node_modules/installed: tools/package.json tools/package-lock.json
	@command -v npm >/dev/null || $(call ask,npm is missing; install Node.js 20 or newer)
	@echo "installing the Node tools into tools/node_modules"
	@mkdir -p tools/node_modules
	@npm ci --prefix tools --no-audit --no-fund >tools/npm.log 2>&1 || $(call ask,the Node tools cannot be installed; is the npm registry reachable? tools/npm.log says more)
	@touch $@

.PHONY: test-e2e
test-e2e: .venv/installed .venv-e2e/installed ## build, deploy and run incidents on stand-ins of AWS
	@command -v curl >/dev/null || $(call ask,curl is missing; install it: the capture of memory sends with it)
	@cd e2e && go test -tags e2e -count=1 -timeout 15m -parallel 16 -run TestIncidents

# sam build calls this once a function: BuildMethod makefile, CodeUri the root.
build-%Function:
	@mkdir -p "$(ARTIFACTS_DIR)"
	GOOS=linux GOARCH=$(or $(GOARCH),arm64) CGO_ENABLED=0 go build -tags lambda.norpc -ldflags "-s -w" \
		-o "$(ARTIFACTS_DIR)/bootstrap" ./functions/$(shell echo $* | tr A-Z a-z)
