# What a developer types. "make help" lists it.

GO ?= go
TIMEOUT ?= 20m
PACKAGES ?= ./...
# A module of its own: the analyzer of users' code.
VET := lambdabizvet
VET_PACKAGES := $(if $(filter ./...,$(PACKAGES)),./...,.)
# A few tests run a second time on PostgreSQL, in the portable mode; "make portable" runs all that there is.
PORTABLE := LAMBDABIZ_POSTGRES_PORTABLE=1
PORTABLE_TESTS := $(if $(filter ./... ./postgres,$(PACKAGES)),^(TestDifferential|TestThePortable.*)$$)
LINTER := bin/golangci-lint
PLATFORMS := linux/amd64 darwin/arm64 windows/amd64

# The race detector needs cgo and a C compiler.
HAVE_CC := $(shell command -v $$($(GO) env CC) >/dev/null 2>&1 && [ "$$($(GO) env CGO_ENABLED)" = 1 ] && echo yes)

.PHONY: help test postgres portable race-tools standins lint fmt vet golangci tidy cross package chaos sabotage repro fuzz bench bench-compare ci clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: race-tools standins ## Run all tests, with the race detector where there is a C compiler.
	@if [ -n "$(HAVE_CC)" ] || [ -n "$(CI)" ]; then \
		echo "$(GO) test -race $(PACKAGES)"; \
		CGO_ENABLED=1 $(GO) test -race -timeout $(TIMEOUT) $(PACKAGES) && \
		$(if $(PORTABLE_TESTS),$(PORTABLE) CGO_ENABLED=1 $(GO) test -count=1 -race -timeout $(TIMEOUT) -run '$(PORTABLE_TESTS)' ./postgres &&) \
		CGO_ENABLED=1 $(GO) test -C $(VET) -race -timeout $(TIMEOUT) $(VET_PACKAGES); \
	else \
		echo "no C compiler found: the tests run without the race detector"; \
		$(GO) test -timeout $(TIMEOUT) $(PACKAGES) && \
		$(if $(PORTABLE_TESTS),$(PORTABLE) $(GO) test -count=1 -timeout $(TIMEOUT) -run '$(PORTABLE_TESTS)' ./postgres &&) \
		$(GO) test -C $(VET) -timeout $(TIMEOUT) $(VET_PACKAGES); \
	fi

postgres: standins ## Run all tests of PostgreSQL, and all of the engine on it: "make test" runs an eighth of those.
	LAMBDABIZ_POSTGRES_SUITE=all $(GO) test -count=1 -timeout 60m ./postgres ./test/homes

# A variable that is read when a package begins is not seen by the cache of results: hence -count=1.
portable: standins ## Run the same in the portable mode.
	$(PORTABLE) LAMBDABIZ_POSTGRES_SUITE=all $(GO) test -count=1 -timeout 60m ./postgres ./test/homes

# In continuous integration the race detector is not optional: fetch a compiler, or fail.
race-tools:
	@if [ -n "$(CI)" ] && ! command -v "$$($(GO) env CC)" >/dev/null 2>&1; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
			echo "no C compiler found: installing gcc for the race detector"; \
			apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends gcc libc6-dev; \
		else \
			echo "no C compiler found: the race detector needs one, install gcc" >&2; exit 1; \
		fi; \
	fi

# What plays AWS in the tests, and PostgreSQL. What cannot be installed skips its tests, and in continuous integration fails.
standins: ## Install what the tests run against into .standins: moto, cfn-lint (Python), dynalite, PostgreSQL (Node.js).
	@bash internal/standins/setup.sh

lint: fmt vet golangci tidy cross ## Check format, vet, golangci-lint, go.mod, and builds for all platforms.

fmt:
	@echo "gofmt"; files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not formatted:" $$files >&2; exit 1; }

vet:
	$(GO) vet ./...
	$(GO) vet -C $(VET) ./...

golangci: $(LINTER)
	$(LINTER) run ./...
	cd $(VET) && ../$(LINTER) run ./...

$(LINTER): tools/go.mod tools/go.sum
	@echo "building golangci-lint"
	@$(GO) build -C tools -o ../$(LINTER) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

tidy:
	$(GO) mod tidy -diff
	$(GO) mod -C $(VET) tidy -diff

cross:
	@set -e; for platform in $(PLATFORMS); do \
		echo "build $$platform"; \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO) build ./...; \
	done

# What runs in Lambda: provided.al2023 on arm64. Without paths and version control in it, the same source gives the same
# program. "sam build" calls the targets build-*, named after the functions in deploy/template.yaml.
LAMBDA_BUILD = CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -trimpath -buildvcs=false -tags lambda.norpc -ldflags "-s -w"
TASKS := Number Sum Difference Product Quotient

.PHONY: build-Process $(TASKS:%=build-%)

build-Process:
	$(LAMBDA_BUILD) -o "$(ARTIFACTS_DIR)/bootstrap" ./examples/aws/process

$(TASKS:%=build-%):
	$(LAMBDA_BUILD) -o "$(ARTIFACTS_DIR)/bootstrap" ./examples/aws/task

package: ## Build the archives of the Lambda functions into bin/package.
	@set -e; for name in Process $(TASKS); do \
		$(MAKE) --no-print-directory build-$$name ARTIFACTS_DIR=bin/package/$$name; \
		$(GO) run ./deploy/bootzip <bin/package/$$name/bootstrap >bin/package/$$name.zip; \
	done

CYCLES ?= 1000

chaos: ## Run the fault tests for long: CYCLES=1000 is their full length, SEED repeats, RUN or BACKEND=postgres selects, RACE=1 detects races.
	$(GO) run ./test/chaos $(if $(RACE),-race) -cycles $(CYCLES) $(if $(SEED),-seed $(SEED)) $(if $(RUN),-run '$(RUN)') $(if $(BACKEND),-backend $(BACKEND)) $(PACKAGES)

sabotage: ## Run every fault test without its protection: each must be red.
	$(GO) run ./test/chaos -sabotage $(if $(SEED),-seed $(SEED)) $(if $(RUN),-run '$(RUN)') $(if $(BACKEND),-backend $(BACKEND)) $(PACKAGES)

# The rows are numbered in the first column, and their commands stand between backquotes in the last one.
repro: ## Run the test of a fixed bug: NUMBER is its row in the track record of docs/proof/bugs.md.
	@command=$$(awk -F '|' -v 'row=$(NUMBER)' '$$2 + 0 > 0 && $$2 + 0 == row { print $$6 }' docs/proof/bugs.md | tr -d '`'); \
	if [ -z "$$command" ]; then echo "docs/proof/bugs.md has no row '$(NUMBER)': say make repro NUMBER=1" >&2; exit 1; fi; \
	echo "$$command"; eval "$$(echo "$$command" | sed 's|go test|$(GO) test -count=1 -timeout $(TIMEOUT)|')"

bench: ## Run the Go benchmarks; "go run ./bench -help" has the workloads.
	$(GO) test -run '^$$' -bench . -benchmem $(PACKAGES)

bench-compare: ## Compare the Go benchmarks of the commit BASE with the working tree's, in turns, by benchstat.
	@bash bench/compare.sh $(or $(BASE),HEAD) $(or $(ROUNDS),6) '$(or $(BENCH),.)'

FUZZTIME ?= 10s

fuzz: ## Run every fuzz target for FUZZTIME (default 10s), one after the other.
	@set -e; for file in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' $$file); do \
			echo "$$(dirname $$file) $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -timeout 0 $$(dirname $$file); \
		done; \
	done

ci: ## What continuous integration runs.
	bash .ci/run

clean: ## Remove what was built, and the stand-ins.
	rm -rf bin .standins
