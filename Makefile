# Everything a person does here, by name. `make` lists it.

GO       ?= go
PKG      ?= ./...
RUN      ?=
ARGS     ?=
FUZZTIME ?= 15s

# The sizes of the proofs. An empty one (make histories OPS=) is the size of make test.
KILLS    ?= 20
KEYS     ?= 10000
PAYMENTS ?= 1000
SEEDS    ?= 5000
PAIRS    ?= 3
OPS      ?= 300000
ROUNDS   ?= 20
PAUSE    ?= 5s
DISK     ?= -losses=100 -fills=20 -points=64 -readonly=20 -flips=500 -tears=100
FAULTS   ?= -full

# One set of flags for all that is built here, or the large dependencies would be compiled twice. The version control stamp
# needs a clone that belongs to the user; nothing but a release needs the stamp.
export GOFLAGS ?= -buildvcs=false -trimpath

# A pipe fails if any part of it does.
SHELL       := bash
.SHELLFLAGS := -o pipefail -c

# Where Debian keeps what makes file systems.
export PATH := $(PATH):/usr/sbin:/sbin

# One PostgreSQL for all packages: started in a temporary folder, named to the tests, gone afterwards. Unless
# KOBAN_TEST_PG names a server that runs already.
IS_ROOT       = $(filter 0,$(shell id -u))
WITH_POSTGRES = $(if $(KOBAN_TEST_PG),,$(GO) run ./book/store/storetest/pgcluster --)
VERSION       = $(shell git describe --tags --always --dirty 2>/dev/null)
GOLANGCI      = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0

# Compiling takes minutes the first time, and says nothing by itself: $(call compile,arguments of go build) counts aloud.
COUNT   = awk '/^[^ :]+$$/ { if (++n % 40 == 1) { print "compiling, the first time takes minutes: package " n; fflush() } next } { print }' >&2
compile = $(GO) build -v $(1) 2>&1 | $(COUNT)

.DEFAULT_GOAL := help
.PHONY: help demo run build test test-race lint fmt fuzz bench gen verify-gen cover clean postgres pooler page-tools disk-tools \
	scoreboard scoreboard-ci sim planted walk chaos storm disk takeover histories conformance watchman faults

## help: list what make can do
help:
	@echo "make demo and make test are all a newcomer needs."
	@echo
	@sed -n 's/^## \([a-z-]*\): /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "  make %-14s %s\n", $$1, $$2 }'

## demo: make a payment, kill the platform in the middle of another, watch it heal, prove the books
demo: build
	@bin/koban demo $(ARGS)

## run: start the platform on 127.0.0.1:8080, with its data in ./koban-data
run: build
	@exec bin/koban run $(ARGS)

## build: build bin/koban
build:
	@$(call compile,-ldflags "-X github.com/koban-pay/koban/internal/version.set=$(VERSION)" -o bin/koban ./cmd/koban)

## test: run every test, on SQLite and on PostgreSQL, and the linters (PKG=./ledger/... RUN=TestName for a part, without linters)
test: postgres pooler page-tools disk-tools
	@$(call compile,./...)
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && code=0; \
	KOBAN_SCORE=$$dir/score $(WITH_POSTGRES) $(GO) test -timeout 30m $(if $(RUN),-run '$(RUN)') $(ARGS) $(PKG) 2>&1 | tee "$$dir/out" || code=$$?; \
	$(GO) run ./proof/scoreboard --from "$$dir/score" || code=$$?; \
	if [ "$(PKG)$(RUN)" = ./... ]; then $(MAKE) --no-print-directory lint 2>&1 | tee "$$dir/lint" || code=$$?; fi; \
	if [ $$code != 0 ]; then \
		echo; echo "FAILED (what each has to say stands above):"; \
		grep -E '^ *--- FAIL|^FAIL[[:space:]]|^panic: |^# |DATA RACE' "$$dir/out" | sort -u; \
		grep -sE '^[^ ]+:[0-9]+:[0-9]+: |^\* |^lint: ' "$$dir/lint"; \
	fi; \
	exit $$code

## test-race: the same under the race detector (needs a C compiler)
test-race: postgres pooler page-tools disk-tools
	CGO_ENABLED=1 $(WITH_POSTGRES) $(GO) test -race -timeout 60m $(if $(RUN),-run '$(RUN)') $(ARGS) $(PKG)

## lint: run go vet and the linters of .golangci.yaml (builds them the first time)
lint:
	@echo "linting; the first time the linters are built, which takes minutes"
	@code=0; $(GO) vet ./... || code=1; $(GO) vet -tags planted ./... || code=1; $(GOLANGCI) run || code=1; \
	if [ $$code = 0 ]; then echo "lint: nothing found"; else \
		echo "lint: see above. make fmt mends what is only form; if the linters cannot be built, go needs its module proxy."; \
	fi; exit $$code

## fmt: format what is written by hand
fmt:
	$(GOLANGCI) fmt

## fuzz: run every fuzz target for FUZZTIME (15s) each
fuzz:
	@set -e; for pkg in $$($(GO) list $(PKG)); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

## bench: measure payments per second against a bound measured in the same run
bench: build
	@bin/koban bench $(ARGS)

## scoreboard: run every proof at full size (90 minutes at most) and keep the score in docs/scoreboard
scoreboard: postgres disk-tools
	@$(GO) run ./proof/scoreboard $(ARGS)

## scoreboard-ci: the same at the sizes of make test
scoreboard-ci: postgres disk-tools
	@$(GO) run ./proof/scoreboard --ci $(ARGS)

## sim: simulate SEEDS (5000) worlds of PAYMENTS (100) each, and the simulator's own controls
sim: PAYMENTS = 100
sim:
	KOBAN_SIM_SEEDS=$(SEEDS) KOBAN_SIM_PAYMENTS=$(PAYMENTS) $(GO) test -count=1 -timeout 60m -v ./proof/sim \
		-run '^Test(Swarm|PastSeeds|Replay|PlantedFaults|ReplayNotices)$$'

## planted: plant one bug after another, and require that the simulator finds each
planted:
	$(GO) test -tags planted -count=1 -timeout 60m -v ./proof/sim -run '^Test(PlantedBugs|NothingPlanted)$$' $(if $(ARGS),-args $(ARGS))
	$(GO) run ./cmd/koban sim --seeds 500

## walk: die at every crash point of every flow, and at one pair of points in PAIRS (3)
walk:
	KOBAN_SIM_WALK=$(PAIRS) $(GO) test -count=1 -timeout 60m -v ./proof/sim -run '^TestCrashWalk'

## chaos: kill -9 the platform KILLS (20) times under load, on both stores, and compare with what was acknowledged
chaos: postgres
	$(WITH_POSTGRES) $(GO) test -count=1 -timeout 120m -v ./proof/chaos -args $(if $(KILLS),-kills=$(KILLS)) $(ARGS)

## storm: send KEYS (10000) requests in 20 copies each, and 8 refunds for each of PAYMENTS (1000), with kills in between
storm: postgres
	$(WITH_POSTGRES) $(GO) test -count=1 -timeout 60m -v ./e2e/storm -args -keys=$(KEYS) -payments=$(PAYMENTS) $(ARGS)

## disk: take the power away, fill the disk, fail its calls, flip bits, as often as DISK says (as root)
disk: disk-tools
	$(GO) test -count=1 -timeout 60m -v ./proof/disk -args $(DISK) $(ARGS)

## takeover: stop leaders, restart PostgreSQL and cut connections, ROUNDS (20) times each, PAUSE (5s) long
takeover: postgres
	KOBAN_TAKEOVER_ROUNDS=$(ROUNDS) KOBAN_TAKEOVER_PAUSE=$(PAUSE) $(WITH_POSTGRES) $(GO) test -count=1 -timeout 60m -v ./e2e/takeover

## histories: record OPS (300000) operations under kill -9 and check that they are linearizable; the bank test
histories: postgres
	KOBAN_HISTORY_OPS=$(OPS) $(WITH_POSTGRES) $(GO) test -count=1 -timeout 60m -v ./proof/linear

## conformance: put Koban's participants to the test over the wire, and broken ones to the kit
conformance:
	$(GO) test -count=1 -timeout 20m -v ./tcc/... ./proof/conform ./e2e/conformance

## watchman: change one yen in a row behind the platform's back, after PAYMENTS (10000), on both stores
watchman: PAYMENTS = 10000
watchman: postgres
	KOBAN_WATCHMAN_PAYMENTS=$(PAYMENTS) $(WITH_POSTGRES) $(GO) test -count=1 -timeout 20m -v ./platform -run '^TestWatchmanFindsOneYen$$'

## faults: every fault of koban fault at every verb of every participant; the platform killed at each
faults:
	$(GO) test -count=1 -timeout 20m -v ./e2e/rehearsal -args $(FAULTS) $(ARGS)

## gen: generate gen/ and the OpenAPI page from proto/ (the first run installs its tools)
gen:
	sh proto/generate.sh

## verify-gen: fail if what is committed is not what proto/ generates
verify-gen:
	sh proto/generate.sh check

## cover: measure which lines the tests reach; writes cover.html
cover: postgres pooler page-tools
	$(WITH_POSTGRES) $(GO) test -timeout 30m -coverpkg=./... -coverprofile=cover.out $(PKG)
	$(GO) tool cover -html=cover.out -o cover.html
	@$(GO) tool cover -func=cover.out | tail -n 1

## clean: remove what was built here; data in koban-data stays
clean:
	rm -rf bin cover.out cover.html

# What the tests need beside Go and git comes from Debian's packages: $(call need,program,package), unless it is there.
define need
	@PATH="$$PATH:$$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')"; if ! command -v $(1) >/dev/null; then \
		echo "$(1) is missing: installing the package $(2)"; \
		sudo=; if [ "$$(id -u)" != 0 ]; then \
			command -v sudo >/dev/null || { echo "Install the package $(2), as root, and run this again."; exit 1; }; \
			sudo="sudo"; \
		fi; \
		$$sudo apt-get update -qq && \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2); \
	fi
endef

## postgres: install PostgreSQL from Debian's packages, unless it is there or KOBAN_TEST_PG names a server
postgres:
	$(if $(KOBAN_TEST_PG),,$(call need,initdb,postgresql))

## pooler: install pgbouncer from Debian's packages, unless it is there
pooler:
	$(call need,pgbouncer,pgbouncer)

## page-tools: install what the commands of the pages use, unless it is there
page-tools:
	$(call need,curl,curl)
	$(call need,jq,jq)
	$(call need,pg_dump,postgresql-client)

## disk-tools: install strace, xfsprogs and e2fsprogs from Debian's packages, where the tests can use them (as root)
disk-tools:
	$(if $(IS_ROOT),$(call need,strace,strace))
	$(if $(IS_ROOT),$(call need,mkfs.xfs,xfsprogs))
	$(if $(IS_ROOT),$(call need,mkfs.ext4,e2fsprogs))
