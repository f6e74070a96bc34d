# Everything that is done with this project, one target each: `make help` lists them. What a target needs it sets up
# itself under build/, infra/node_modules and lab/engines/node_modules; apt packages are installed where make runs as root.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.SILENT: # What takes longer than two seconds says what it does.

FUNCTIONS := scaleout check scalein notify
COMPAT := 5.2 5.3 5.4 5.5 5.6
PYTHON ?= python3
# What is deployed. A clean checkout has no sluice.yaml: there the shop's stands in for what does no harm, but never for a file
# that somebody has named.
CONFIG ?= sluice.yaml
SYNTH_CONFIG = $(if $(wildcard $(CONFIG))$(filter-out file,$(origin CONFIG)),$(CONFIG),examples/shop/sluice.yaml)
# Stripped, without the RPC mode that Lambda no longer uses: a smaller bootstrap starts sooner. Without the commit: the same
# code is the same asset, and is not deployed again.
LAMBDA_BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags "-s -w"
GOFUMPT := go run mvdan.cc/gofumpt@v0.12.0
TOOLS := build/tools/staticcheck build/tools/errcheck
IMPORTS := go list -f '{{$$p := .ImportPath}}{{range .Imports}}{{$$p}} {{.}}{{"\n"}}{{end}}' ./... | awk -f $(abspath .ci/imports.awk)
LINT := $(abspath build/tools/staticcheck) ./... && $(abspath build/tools/errcheck) ./...

SOURCES := go.mod go.sum $(shell find cmd internal lambdas stepfunctions trigger -name node_modules -prune -o \
	\( -name '*.go' -o -name '*.asl.json' -o -name '*.lua' \) ! -name '*_test.go' -print)

LAB_SOURCES := $(shell find lab -name node_modules -prune -o -name '*.go' ! -name '*_test.go' -print)

INFRA_SOURCES := stepfunctions/scalein.asl.json $(shell find infra \( -name node_modules -o -name cdk.out \) -prune -o \
	\( -name '*.go' -o -name '*.json' -o -name go.mod \) ! -name '*_test.go' ! -path 'infra/lab/*' -print)

##@ Use

DEMO := functions build/venv-demo build/sluice-demo

.PHONY: demo
demo: ## A FastAPI + Celery application, its workers going 0 -> N -> 0 before your eyes. REDIS_URL= for a real Redis.
	$(MAKE) -j2 $(DEMO)
	build/sluice-demo

.PHONY: demo-lost
demo-lost: ## The same with every event lost: the sweep makes it good.
	$(MAKE) -j2 $(DEMO)
	build/sluice-demo -lost

.PHONY: demo-template
demo-template: build/infra/shop ## The same as the synthesized template deploys it, every call held to its roles.
	$(MAKE) -j2 $(DEMO)
	build/sluice-demo -template build/infra/shop/Sluice.template.json

.PHONY: build
build: functions build/sluice build/sluice-local ## The command line, and the functions and the cloud for this machine (build/).

.PHONY: functions
functions: $(FUNCTIONS:%=build/local/%/bootstrap)

.PHONY: lambdas
lambdas: $(FUNCTIONS:%=build/lambda/%/bootstrap) ## The Lambda functions as they ship: linux/arm64.

##@ Deploy

.PHONY: synth
synth: lambdas infra/node_modules ## The CloudFormation template of CONFIG (default sluice.yaml, else the shop's), in build/infra/cdk.out.
	$(call synth,$(SYNTH_CONFIG),build/infra/cdk.out)

.PHONY: deploy
deploy: cdk-deploy ## Build and deploy what CONFIG says, in the AWS account of your environment. CDKFLAGS= goes to the CDK.

.PHONY: diff
diff: cdk-diff ## What a deployment would change.

.PHONY: destroy
destroy: cdk-destroy ## Remove what was deployed. The ECS services stay as they are.

.PHONY: cdk-deploy cdk-diff cdk-destroy
cdk-deploy cdk-diff cdk-destroy: cdk-%: lambdas infra/node_modules
	test -f "$(CONFIG)" || { echo "$(CONFIG) is missing: write one (README.md), or say which: make $* CONFIG=FILE"; exit 1; }
	cd infra && SLUICE_CONFIG="$(abspath $(CONFIG))" \
		npx cdk $* $(if $(filter-out diff,$*),--all) --output "$(abspath build/infra/deploy.out)" $(CDKFLAGS)

# Of the banner about a Node.js at its end: README.md says 22, and 20 works.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export CDK_DISABLE_CLI_TELEMETRY := true

# synth synthesizes the configuration $(1) into the folder $(2), strictly.
define synth
	echo "synthesizing $(1)"
	rm -rf $(2)
	cd infra && SLUICE_CONFIG="$(abspath $(1))" npx cdk synth --quiet --strict --lookups=false --no-notices --output "$(abspath $(2))"
endef

##@ Test

# -count=1: Go would take a result from its cache although a Lambda function, a Python file or a package of Node.js, which
# the tests run as processes of their own, has changed since.

.PHONY: test
test: test-go test-infra ## All tests, with the newest Celery, a real Redis and the embedded one; and the deployment's.

.PHONY: test-go
test-go: build test-deps ## All but the deployment's: the developer's loop. TESTFLAGS="-run Name" for some.
	go test -count=1 -timeout 30m $(TESTFLAGS) ./...

.PHONY: test-infra
test-infra: infra/node_modules build/venv-infra build/infra/shop build/infra/spread ## The deployment, down to the template; and faults planted in it that have to be found.
	cd infra && go test -count=1 -timeout 30m ./...
	go test -count=1 ./lab/cloud/cfn -synthesized $(abspath build/infra)

.PHONY: test-race
test-race: build test-deps ## The same with the race detector (slower).
	go test -race -count=1 $(TESTFLAGS) ./...

# The loops end with the shell that started them, however that ends.
.PHONY: test-loaded
test-loaded: build test-deps ## The tests without test-infra beside twice as many busy loops as there are cores: none needs a quiet machine.
	loops=(); trap 'kill "$${loops[@]}" 2>/dev/null || true' EXIT; trap 'exit 130' INT TERM; \
	for ((i = 2 * $$(getconf _NPROCESSORS_ONLN); i > 0; i--)); do \
		while kill -0 $$$$ 2>/dev/null; do :; done & loops+=($$!); done; \
	go test -count=1 -timeout 60m $(TESTFLAGS) ./...

.PHONY: test-compat
test-compat: test-deps $(COMPAT:%=build/venv-celery-%) ## Celery 5.2 to 5.6, each with the prefork, threads, solo and gevent pools.
	SLUICE_COMPAT=1 go test -count=1 -timeout 40m -parallel 4 -run 'TestCompat|TestOthersWedge' ./internal/celery

.PHONY: test-doctor
test-doctor: test-deps ## Misconfigurations planted one at a time, with real workers, Redis servers and functions: sluice doctor has to find each.
	mkdir -p build && rm -f build/doctor.txt
	DOCTOR_TABLE=$(abspath build/doctor.txt) go test -count=1 -run TestPlanted ./internal/doctor || { cat build/doctor.txt; exit 1; }
	cat build/doctor.txt

.PHONY: test-model
test-model: test-deps ## The simulator's model held against workers of Celery 5.2 and 5.6, too.
	SLUICE_COMPAT=1 go test -count=1 -timeout 40m -run 'TestModelIsLikeCelery/5' ./lab/sim/broker

.PHONY: sim
sim: ## SEEDS (default 20000) histories from seed FROM (default 1) in virtual time, of the production code among faults: what broke, and what was covered.
	[ -z "$${SEED:-}" ] || { echo "SEED means nothing here: give the first seed as FROM=$$SEED"; exit 1; }
	go run ./lab/sim/cmd -seeds $${SEEDS:-20000} -from $${FROM:-1}

.PHONY: sim-mutants
sim-mutants: ## Plant faults in the production code, one at a time: the simulator has to find each.
	go run ./lab/sim/mutants

.PHONY: mutate
mutate: test-deps ## What the tests do not notice: every small change of PKG (default the four packages of the core), one at a time. Takes an hour.
	go run ./lab/mutants/mutate $(MUTATEFLAGS) $(PKG)

.PHONY: chaos
chaos: build test-deps ## ROUNDS (default 20) of real Celery under faults from SEED (default 1), then beside the usual ways to scale to zero.
	go run ./lab/chaos -rounds $${ROUNDS:-20} -seed $${SEED:-1}

.PHONY: bench
bench: build lambdas build/venv redis-server ## Speed and size: figures, ratios and bounds. BENCHFLAGS="-only cold" for a part.
	go run ./lab/bench $(BENCHFLAGS)

.PHONY: check
check: $(TOOLS) ## Format, vet, static analysis, import direction, generated files current, go.mod tidy.
	unformatted=$$($(GOFUMPT) -l .); [ -z "$$unformatted" ] || { echo "not formatted: $$unformatted (run make fmt)"; exit 1; }
	go vet ./...
	$(LINT)
	$(IMPORTS)
	go mod tidy -diff
	go test -run 'Current' ./internal/config/...
	cd infra && go vet ./... && $(LINT) && $(IMPORTS) && go mod tidy -diff

.PHONY: fmt
fmt: ## Format all Go code.
	$(GOFUMPT) -w .

.PHONY: generate
generate: ## Generate anew what is generated: the JSON Schema of sluice.yaml.
	go generate ./...

.PHONY: docs
docs: test-deps ## Run the commands of docs/operate.md against a local cloud with real workers, and write what they print into it.
	go test -count=1 -run '^TestOperate$$' ./cmd/sluice -update

.PHONY: fuzz
fuzz: ## Each fuzz test for FUZZTIME (default 20s).
	for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz || true); do \
		echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-20s} $$p; done; done

##@ Set-up, called by the others

.PHONY: test-deps
test-deps: build/venv build/venv-celery-5.2 build/venv-celery-5.6 lab/engines/node_modules redis-server promtool

# A folder that somebody has cut off while it was being filled looks like one that is complete. So what says that it is there is a
# file in it, which is written last: by npm, npm's own.

VENVS := build/venv build/venv-demo build/venv-infra $(COMPAT:%=build/venv-celery-%)
$(VENVS): %: %/.complete

build/venv/.complete: lab/testenv/requirements.txt examples/shop/requirements.txt
	$(call venv,-r lab/testenv/requirements.txt -r examples/shop/requirements.txt)

build/venv-demo/.complete: examples/shop/requirements.txt
	$(call venv,-r examples/shop/requirements.txt)

build/venv-infra/.complete: infra/requirements.txt
	$(call venv,-r infra/requirements.txt)

build/venv-celery-%/.complete: internal/celery/testdata/compat/requirements-%.txt
	$(call venv,-r internal/celery/testdata/compat/requirements-$*.txt)

MODULES := lab/engines/node_modules infra/node_modules
$(MODULES): %: %/.package-lock.json

$(MODULES:%=%/.package-lock.json): %/node_modules/.package-lock.json: %/package-lock.json
	echo "installing npm packages in $*/node_modules"
	cd $* && npm ci --loglevel=error --no-audit --no-fund
	touch $@

build/tools/staticcheck: Makefile
	GOBIN=$(abspath build/tools) go install honnef.co/go/tools/cmd/staticcheck@v0.8.2
	touch $@

build/tools/errcheck: Makefile
	GOBIN=$(abspath build/tools) go install github.com/kisielk/errcheck@v1.30.0
	touch $@

# Templates that the local cloud runs: the shop's, which is the demo's, and one with everything that the shop has not.
TEMPLATES := build/infra/shop build/infra/spread
$(TEMPLATES): %: %/.complete
build/infra/shop/.complete: examples/shop/sluice.yaml
build/infra/spread/.complete: lab/cloud/cfn/cfntest/testdata/spread.yaml
$(TEMPLATES:%=%/.complete): build/lambda/.complete infra/node_modules/.package-lock.json $(INFRA_SOURCES)
	$(call synth,$(filter %.yaml,$^),$(@D))
	touch $@

.PHONY: redis-server
redis-server:
	command -v redis-server >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends redis-server; \
		else echo "redis-server is missing: install Redis 7, on Debian with: sudo apt-get install redis-server"; exit 1; fi; }

# promtool comes in Debian's package prometheus, which would also start a Prometheus: of it the one program is taken.
.PHONY: promtool
promtool:
	command -v promtool >/dev/null || [ -x build/tools/promtool ] || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			rm -rf build/tools/prometheus && mkdir -p build/tools/prometheus && cd build/tools/prometheus && apt-get update -q && \
				{ apt-get download -q -o APT::Sandbox::User=root prometheus && dpkg-deb -x prometheus_*.deb . && mv usr/bin/promtool ..; } && \
				cd .. && rm -rf prometheus; \
		else echo "promtool is missing: install it with Prometheus 2.42 or newer, on Debian with: sudo apt-get install prometheus"; exit 1; fi; }

.PHONY: clean
clean: ## Remove everything that was built or installed here.
	rm -rf build lab/engines/node_modules infra/node_modules

# venv makes the virtual environment that $@ stands in, with the packages $(1).
define venv
	command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.10 or newer with venv"; exit 1; }
	echo "installing Python packages in $(@D)"
	rm -rf $(@D) && $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check $(1)
	touch $@
endef

# By one compiler: several at a time would each compile what all of them share.
$(FUNCTIONS:%=build/local/%/bootstrap): build/local/.complete ;
build/local/.complete: $(SOURCES)
	echo "building the functions for this machine: a minute, the first time"
	$(LAMBDA_BUILD) -o build/local/bin/ $(FUNCTIONS:%=./lambdas/%)
	for f in $(FUNCTIONS); do mkdir -p build/local/$$f && mv build/local/bin/$$f build/local/$$f/bootstrap; done && rmdir $(@D)/bin
	touch $@

$(FUNCTIONS:%=build/lambda/%/bootstrap): build/lambda/.complete ;
build/lambda/.complete: $(SOURCES)
	echo "building the functions as they ship: a minute, the first time"
	GOOS=linux GOARCH=arm64 $(LAMBDA_BUILD) -o build/lambda/bin/ $(FUNCTIONS:%=./lambdas/%)
	for f in $(FUNCTIONS); do mkdir -p build/lambda/$$f && mv build/lambda/bin/$$f build/lambda/$$f/bootstrap; done && rmdir $(@D)/bin
	touch $@

build/sluice: $(SOURCES)
	echo "building sluice"
	CGO_ENABLED=0 go build -trimpath -tags lambda.norpc -ldflags "-s -w" -o $@ ./cmd/sluice

build/sluice-local: $(SOURCES) $(LAB_SOURCES)
	echo "building sluice-local"
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o $@ ./lab/sluice-local

build/sluice-demo: $(SOURCES) $(LAB_SOURCES) | functions
	echo "building the demo"
	CGO_ENABLED=0 go build -o $@ ./lab/demo

.PHONY: help
help: ## This list.
	awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
