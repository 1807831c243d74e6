# Everything a person does here, by name. `make` lists it.

GO       ?= go
PKG      ?= ./...
RUN      ?=
ARGS     ?=
KILLS    ?= 20
KEYS     ?= 10000
PAYMENTS ?= 1000
FUZZTIME ?= 15s

# The version control stamp needs a clone that belongs to the user; nothing but a release needs the stamp.
export GOFLAGS ?= -buildvcs=false

# One PostgreSQL for all packages: started in a temporary folder, named to the tests, gone afterwards. Unless
# KOBAN_TEST_PG names a server that runs already.
WITH_POSTGRES = $(if $(KOBAN_TEST_PG),,$(GO) run ./internal/store/storetest/pgcluster --)
GOLANGCI      = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0

.DEFAULT_GOAL := help
.PHONY: help demo run build test test-race postgres lint fmt fuzz bench chaos storm gen verify-gen cover clean

## help: list what make can do
help:
	@echo "make demo and make test are all a newcomer needs."
	@echo
	@sed -n 's/^## \([a-z-]*\): /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'

## demo: make a payment, kill the platform in the middle of another, watch it heal, prove the books
demo:
	@$(GO) run ./cmd/koban demo $(ARGS)

## run: start the platform on 127.0.0.1:8080, with its data in ./koban-data
run:
	@$(GO) run ./cmd/koban run $(ARGS)

## build: build bin/koban
build:
	$(GO) build -trimpath -o bin/koban ./cmd/koban

## test: run every test, on SQLite and on PostgreSQL (PKG=./ledger/... RUN=TestName for a part)
test: postgres
	$(WITH_POSTGRES) $(GO) test -timeout 30m $(if $(RUN),-run '$(RUN)') $(ARGS) $(PKG)

## test-race: the same under the race detector (needs a C compiler)
test-race: postgres
	CGO_ENABLED=1 $(WITH_POSTGRES) $(GO) test -race -timeout 60m $(if $(RUN),-run '$(RUN)') $(ARGS) $(PKG)

## postgres: install PostgreSQL from Debian's packages, unless it is there or KOBAN_TEST_PG names a server
postgres:
	@if [ -z "$$KOBAN_TEST_PG" ] && ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
		echo "PostgreSQL is missing: installing the package postgresql"; \
		sudo=; if [ "$$(id -u)" != 0 ]; then \
			command -v sudo >/dev/null || { echo "Install the package postgresql, as root, and run this again."; exit 1; }; \
			sudo="sudo"; \
		fi; \
		$$sudo apt-get update -qq && \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; \
	fi

## lint: run go vet and the linters of .golangci.yaml (builds them the first time)
lint:
	$(GO) vet ./...
	$(GOLANGCI) run

## fmt: format what is written by hand
fmt:
	gofmt -w $$(git ls-files '*.go' | grep -v '^gen/')

## fuzz: run every fuzz target for FUZZTIME (15s) each
fuzz:
	@set -e; for pkg in $$($(GO) list $(PKG)); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

## bench: measure payments per second against a bound measured in the same run
bench:
	@$(GO) run ./cmd/koban bench $(ARGS)

## chaos: kill -9 the platform KILLS (20) times under load, on both stores, and compare with what was acknowledged
chaos: postgres
	$(WITH_POSTGRES) $(GO) test -count=1 -timeout 120m -v ./e2e/chaos -args -kills=$(KILLS) $(ARGS)

## storm: send KEYS (10000) requests in 20 copies each, and 8 refunds for each of PAYMENTS (1000), with kills in between
storm: postgres
	$(WITH_POSTGRES) $(GO) test -count=1 -timeout 60m -v ./e2e/storm -args -keys=$(KEYS) -payments=$(PAYMENTS) $(ARGS)

## gen: generate gen/ and the OpenAPI page from proto/ (the first run installs its tools)
gen:
	sh proto/generate.sh

## verify-gen: fail if what is committed is not what proto/ generates
verify-gen:
	sh proto/generate.sh check

## cover: measure which lines the tests reach; writes cover.html
cover: postgres
	$(WITH_POSTGRES) $(GO) test -timeout 30m -coverpkg=./... -coverprofile=cover.out $(PKG)
	$(GO) tool cover -html=cover.out -o cover.html
	@$(GO) tool cover -func=cover.out | tail -n 1

## clean: remove what was built here; data in koban-data stays
clean:
	rm -rf bin cover.out cover.html
