# One set of flags for every target, so that all of them share one build cache.
export GOFLAGS := -trimpath -buildvcs=false
export GOTOOLCHAIN := local
export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## run a whole incident; DECISION=terminate|keep|release, EVENT=events/….json, REPORT=FILE
	@mkdir -p bin
	@go run ./cmd/cordon demo --report $(or $(REPORT),bin/report.html) $(if $(DECISION),--decision $(DECISION)) $(or $(EVENT),events/plain.json)

.PHONY: test
test: ## prove the project; Go alone
	go vet ./...
	go test -timeout 30m ./...

.PHONY: race
race: ## a seed a route under the race detector; needs a C compiler
	@command -v $${CC:-cc} >/dev/null || { echo "make race: the race detector needs a C compiler; install one (gcc or clang) or set CC" >&2; exit 1; }
	CGO_ENABLED=1 go test -timeout 30m -race -short ./internal/vtime ./internal/asl ./internal/rehearsal ./internal/faults

# What the checks need besides Go, pinned, below this folder. What is installed
# is newer than the pins it came from, or it is installed again.
give-up = { echo "make $(or $(MAKECMDGOALS),help): $(1)" >&2; exit 1; }

.PHONY: tools
tools: bin/golangci-lint .venv/installed tools/node_modules/installed ## install what the checks need, pinned

bin/golangci-lint: tools/go.mod tools/go.sum
	@echo "building golangci-lint, which takes minutes the first time"
	@mkdir -p bin
	@go -C tools build -o ../bin/ tool >bin/go.log 2>&1 || $(call give-up,golangci-lint cannot be built; is the Go module proxy reachable? bin/go.log says more)
	@touch $@

.venv/installed: tools/requirements.txt tools/constraints.txt
	@command -v python3 >/dev/null || $(call give-up,python3 is missing; install Python 3.10 or newer with its venv module)
	@echo "installing the Python tools into .venv"
	@mkdir -p bin
	@python3 -m venv --clear .venv >bin/python.log 2>&1 || $(call give-up,python3 cannot make a venv; install its venv module (Debian: python3-venv). bin/python.log says more)
	@.venv/bin/pip install -r tools/requirements.txt -c tools/constraints.txt >bin/python.log 2>&1 \
		|| $(call give-up,the Python tools cannot be installed; is the package index reachable? bin/python.log says more)
	@touch $@

# In a venv of its own: what it needs and what sam needs exclude each other.
.venv-e2e/installed: e2e/requirements.txt e2e/constraints.txt
	@command -v python3 >/dev/null || $(call give-up,python3 is missing; install Python 3.10 or newer with its venv module)
	@echo "installing the stand-ins of AWS into .venv-e2e"
	@mkdir -p bin
	@python3 -m venv --clear .venv-e2e >bin/python-e2e.log 2>&1 || $(call give-up,python3 cannot make a venv; install its venv module (Debian: python3-venv). bin/python-e2e.log says more)
	@.venv-e2e/bin/pip install -r e2e/requirements.txt -c e2e/constraints.txt >bin/python-e2e.log 2>&1 \
		|| $(call give-up,the stand-ins of AWS cannot be installed; is the package index reachable? bin/python-e2e.log says more)
	@touch $@

tools/node_modules/installed: tools/package.json tools/package-lock.json
	@command -v npm >/dev/null || $(call give-up,npm is missing; install Node.js 20 or newer)
	@echo "installing the Node tools into tools/node_modules"
	@mkdir -p bin
	@npm ci --prefix tools --no-audit --no-fund >bin/node.log 2>&1 || $(call give-up,the Node tools cannot be installed; is the npm registry reachable? bin/node.log says more)
	@touch $@

.PHONY: check
check: lint check-template check-faults check-build permissions ## lint, validate, build, look at what was built

.PHONY: lint
lint: bin/golangci-lint ## read the Go code for faults, forbidden imports and layout
	bin/golangci-lint run
	cd tools && ../bin/golangci-lint run --config ../.golangci.yml
	cd browser && ../bin/golangci-lint run --config ../.golangci.yml

.PHONY: fmt
fmt: bin/golangci-lint ## lay out the Go code
	bin/golangci-lint fmt

# Each sees what the others do not; tools/faults_test.go shows what.
.PHONY: check-template
check-template: .aws-sam/expanded.json tools/node_modules/installed
	tools/node_modules/.bin/asl-validator --json-path .aws-sam/definition.json
	$(SAM) validate --lint
	.venv/bin/cfn-lint --regions us-east-1 --template .aws-sam/expanded.json stacks/*.yaml

# What the linters of the template judge: they look through no transform.
.aws-sam/expanded.json: template.yaml statemachines/incident-response.asl.json tools/expand.py .venv/installed
	@.venv/bin/python tools/expand.py

# Each check, given what it must refuse. What looks at the build has tests of its own.
.PHONY: check-faults
check-faults: tools
	go -C tools test .

# Built twice, the second time from a copy elsewhere: where the code lies must
# not be in what is deployed.
.PHONY: check-build
check-build: .venv/installed
	@mkdir -p bin
	$(SAM) build >bin/sam.log 2>&1 || { cat bin/sam.log >&2; exit 1; }
	@rm -rf $(AGAIN) && mkdir -p $(AGAIN)
	@cp -R Makefile go.mod go.sum samconfig.toml template.yaml statemachines functions internal $(AGAIN)
	cd $(AGAIN) && $(SAM) build >$(CURDIR)/bin/sam.log 2>&1 || { cat $(CURDIR)/bin/sam.log >&2; exit 1; }
	go run ./cmd/artifact .aws-sam/build $(AGAIN)/.aws-sam/build

SAM := SAM_CLI_TELEMETRY=0 $(CURDIR)/.venv/bin/sam
AGAIN := .aws-sam/again

.PHONY: permissions
permissions: .venv/installed tools/node_modules/installed .aws-sam/expanded.json ## prove what each role may do, offline
	@command -v node >/dev/null || $(call give-up,node is missing; install Node.js 20 or newer)
	go test -tags permissions -run '^Test(Parliament|Expanded|Requests|EveryPermission)' .

.PHONY: bench-burst
bench-burst: ## three hundred findings at once against EC2's token buckets, in virtual time
	@cd internal/burst && go test -count=1 -timeout 2h -run '^TestThreeHundred$$' -full

.PHONY: test-faults
test-faults: ## a fault at every call (ALL=1: of every kind), pairs and seeds; SINGLES=1000 SEEDS=10000 FROM=1 SHARE=1/3
	@cd internal/faults && go test -count=1 -timeout 1h -run '^TestFaults$$' -full $(if $(ALL),-every) $(if $(SINGLES),-singles $(SINGLES)) $(if $(SEEDS),-seeds $(SEEDS)) $(if $(FROM),-from $(FROM)) $(if $(SHARE),-share $(SHARE))

.PHONY: test-mutants
test-mutants: ## plant faults in what is deployed and see that each is found
	@cd internal/faults && go test -count=1 -timeout 1h -run '^TestMutants' -mutants

# The test is make's own child, so that what interrupts make interrupts it, and it
# ends all that it started; `go test` would not tell it.
.PHONY: test-e2e
test-e2e: .venv/installed .venv-e2e/installed ## build, deploy and run incidents on stand-ins of AWS
	@command -v curl >/dev/null || $(call give-up,curl is missing; install it: the capture of memory sends with it)
	@mkdir -p bin
	@go mod download >bin/go-e2e.log 2>&1 || $(call give-up,the Go modules cannot be downloaded; is the Go module proxy reachable? bin/go-e2e.log says more)
	@go test -tags e2e -c -o bin/e2e.test ./e2e
	@if reason=$$($(guest)); then export CORDON_GUEST=$(CURDIR)/bin/guest CORDON_AVML=$(CURDIR)/bin/avml; \
	elif [ -n "$$CI" ]; then echo "make test-e2e: $$reason" >&2; exit 1; \
	else echo "the guest is left out: $$reason"; fi; \
	cd e2e && exec ../bin/e2e.test -test.timeout 25m -test.parallel 5 -test.run '^TestIncidents$$'

# What a guest is made of, and the real AVML; else it prints why not, and fails.
guest = sh tools/guest.sh bin/guest && $(MAKE) -s bin/avml 2>&1 >&2

# The decision page in a real browser. Where there is none and none may be
# installed, a hosted run fails and a person is told why it was skipped.
CORDON_BROWSER ?= chromium

.PHONY: test-page
test-page: tools/node_modules/installed ## the decision page in Chromium: keyboard, phone, dark, axe-core
	@mkdir -p bin
	@if reason=$$(sh tools/have.sh bin/browser.log "$(CORDON_BROWSER)=chromium fonts-dejavu-core fonts-ipafont-gothic"); then \
		CORDON_BROWSER="$(CORDON_BROWSER)" go -C browser test -count=1 -timeout 20m .; \
	elif [ -n "$$CI" ]; then echo "make test-page: $$reason" >&2; exit 1; \
	else echo "skipped: $$reason"; fi

# The program that reads a host's memory: built, pinned, from its registry
# package, or given as a file with its SHA-256. Static, since it meets whatever
# the host has. AVML_TARGET=aarch64-unknown-linux-gnu wants that target's linker.
AVML_VERSION := 0.21.0
AVML_TARGET ?= $(shell uname -m)-unknown-linux-gnu

.PHONY: avml
avml: bin/avml ## build the memory tool; or AVML=FILE AVML_SHA256=HEX
	@echo "bin/avml: put it below tools/ in the evidence bucket; MemoryToolSha256 is $$(sha256sum bin/avml | cut -d ' ' -f 1)"

# Copied each time: bin/avml is what was asked for last. What was built stays
# beside it, by version and target.
AVML_BUILT := bin/avml-$(AVML_VERSION)-$(AVML_TARGET)

.PHONY: bin/avml
ifdef AVML
bin/avml:
	@mkdir -p bin
	@echo "$(AVML_SHA256)  $(AVML)" | sha256sum --check --status 2>/dev/null \
		|| $(call give-up,$(AVML) does not have the SHA-256 that AVML_SHA256 says; nothing was copied)
	@install -m 755 "$(AVML)" $@
else
bin/avml: $(AVML_BUILT)
	@install -m 755 $< $@

$(AVML_BUILT):
	@command -v cargo >/dev/null || $(call give-up,cargo is missing; install Rust (with a C linker), or give AVML=FILE AVML_SHA256=HEX)
	@echo "building avml $(AVML_VERSION), which takes minutes"
	@mkdir -p bin
	@RUSTFLAGS="-C target-feature=+crt-static" cargo install avml --version $(AVML_VERSION) --locked --no-default-features --features put,convert \
		--target $(AVML_TARGET) --no-track --root bin/cargo >bin/avml.log 2>&1 || $(call give-up,avml cannot be built; is the crate registry reachable? bin/avml.log says more)
	@mv bin/cargo/bin/avml $@
endif

# The document's script on a real kernel. What it needs is fetched where that may
# be; else a hosted run fails and a person is told why it was skipped. A tool that
# was given and is another than said is a fault everywhere.
.PHONY: test-memory
test-memory: $(if $(AVML),bin/avml) ## capture the memory of a guest in qemu; needs Debian and minutes
	@if reason=$$($(guest)); then \
		CORDON_GUEST=$(CURDIR)/bin/guest CORDON_AVML=$(CURDIR)/bin/avml \
			go test -tags kernel -count=1 -timeout 30m -v -run 'Kernel|Guest' ./internal/guest ./internal/memory; \
	elif [ -n "$$CI" ]; then echo "make test-memory: $$reason" >&2; exit 1; \
	else echo "skipped: $$reason"; fi

# The script as others read it: shellcheck, and a shell that is neither dash nor
# bash. What it says of commands that are missing is no use there: it has its own.
.PHONY: check-script
check-script: .venv/installed ## read the scripts of hosts, run Linux's under busybox
	@mkdir -p bin
	.venv/bin/python tools/powershell.py internal/memory/*.ps1
	@if reason=$$(sh tools/have.sh bin/script.log shellcheck=shellcheck busybox=busybox-static); then \
		echo "shellcheck, busybox" && \
		shellcheck internal/memory/*.sh internal/guest/*.sh tools/*.sh && \
		CORDON_SHELL="busybox sh" go test -count=1 -run '^TestTheScript(SendsEveryByte|GoesOn|SaysWhyNot)$$|^TestTheTextOfAHost$$|^TestAKilledCapture' ./internal/memory; \
	elif [ -n "$$CI" ]; then echo "make check-script: $$reason" >&2; exit 1; \
	else echo "skipped: $$reason"; fi

# sam build calls this once a function: BuildMethod makefile, CodeUri the root.
build-%Function:
	@mkdir -p "$(ARTIFACTS_DIR)"
	GOOS=linux GOARCH=$(or $(GOARCH),arm64) CGO_ENABLED=0 go build -tags lambda.norpc -ldflags "-s -w" \
		-o "$(ARTIFACTS_DIR)/bootstrap" ./functions/$(shell echo $* | tr A-Z a-z)
