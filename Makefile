# Every target does its own set-up on a fresh Debian 12 or Ubuntu machine; those that need root say so.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help prerequisites cluster-up cluster-down cluster-status images demo demo-down lint test test-unit test-api test-mover e2e crash bench release
# Steps share one machine and one cargo directory.
.NOTPARALLEL:

CLUSTER := e2e/cluster
IMAGES := e2e/images
# Those that go into images.
BINARIES := holdfast-dp holdfast-apps datasafed
# Of the binaries in images; `dev` builds in a tenth of the time and makes them ten times as large.
HOLDFAST_PROFILE ?= e2e
BENCH ?=
XTASK := $${CARGO_TARGET_DIR:-target}/debug/xtask
# One selection of packages for every build: another one has other features, and builds its dependencies again.
BUILD := cargo build --workspace --all-targets
TEST := cargo test --workspace --no-fail-fast
# --test flags of the integration tests in these packages.
tests_in = $(foreach file,$(wildcard $(1:%=%/tests/*.rs)),--test=$(basename $(notdir $(file)))) \
  $(foreach file,$(wildcard $(1:%=%/tests/*/main.rs)),--test=$(notdir $(patsubst %/main.rs,%,$(file))))
UNIT_TESTS = --lib --bins $(call tests_in,$(filter-out crates/test-kit,$(wildcard crates/*)))
MOVER_TESTS = $(call tests_in,e2e/tests/mover)
API_TESTS = $(call tests_in,crates/test-kit e2e/tests/api)
CRASH_TESTS = $(filter --test=crash% --test=%_crash,$(API_TESTS))
NODE_TESTS = $(strip $(call tests_in,e2e/tests/node))

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "State: \$$HOLDFAST_STATE (default /var/lib/holdfast-e2e). More settings: $(CLUSTER)/README.md"

prerequisites: ## Check rustc and go, install missing Debian packages (root)
	@$(CLUSTER)/prerequisites.sh

cluster-up: prerequisites ## One real Kubernetes node on this machine (root)
	@$(CLUSTER)/up.sh

cluster-down: ## Take the node away, with everything in it
	@$(CLUSTER)/down.sh

cluster-status: ## Components, node and pods on one screen
	@$(CLUSTER)/status.sh

images: prerequisites ## Build all images into $HOLDFAST_STATE/images; load them if the cluster is up
	@for name in pause busybox postgres; do $(IMAGES)/build.sh $$name; done
	@built=$$($(IMAGES)/cargo.sh $(HOLDFAST_PROFILE) $(BINARIES)) && for path in $$built; do $(IMAGES)/build.sh "$${path##*/}" "$$path"; done
	@if $(CLUSTER)/status.sh >/dev/null 2>&1; then $(IMAGES)/load.sh pause busybox postgres $(BINARIES); fi

demo: prerequisites ## The main job, start to end: back up and restore a PostgreSQL (root)
	@e2e/demo.sh up

demo-down: ## Take away what the demo made
	@e2e/demo.sh down

lint: ## Format, clippy, generated files, arrows, charts
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(BUILD)
	$(XTASK) crds --check
	$(XTASK) rbac --check
	$(XTASK) arrows
	$(XTASK) conformance
	@command -v helm >/dev/null || $(CLUSTER)/build.sh
	deploy/render.sh --check
	@e2e/addons/lint.sh
	@PATH=$$PATH:$${HOLDFAST_STATE:-/var/lib/holdfast-e2e}/bin; helm lint --quiet --kube-version 1.30.0 deploy/charts/*
	@if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; else echo 'SKIPPED(cargo-deny missing)'; fi
	@find crates e2e -name '*.rs' -exec wc -l {} + | awk '$$2 != "total" && $$1 > 400 {print "warning: " $$2 " has " $$1 " lines, 400 are meant to be enough"}'

test: prerequisites lint test-unit test-api test-mover e2e ## lint and all test levels; bench is apart (root)

test-unit: ## Pure and golden tests, seconds
	$(TEST) $(UNIT_TESTS)
	cargo test --workspace --doc

test-api: ## Tests against a real API server, no node
	@$(CLUSTER)/build.sh api
	$(BUILD)
	$(TEST) $(API_TESTS)

test-mover: ## The data mover against real S3 servers, with faults in between
	@e2e/s3/build.sh
	$(BUILD)
	$(TEST) $(MOVER_TESTS)

# Each test says whether it shares the machine; three at a time do. What they took is on standard error.
e2e: prerequisites ## Tests on the real node (root)
	@$(CLUSTER)/with.sh $(if $(NODE_TESTS),$(TEST) $(NODE_TESTS),cargo test -p e2e-node) -- --test-threads=3

crash: ## Kill the operator before and after every write; damaged bytes into every reader of the mover, a minute each
	@$(CLUSTER)/build.sh api
	$(BUILD)
	HOLDFAST_CRASH_POINTS=all $(TEST) $(CRASH_TESTS) -- --nocapture
	HOLDFAST_FUZZ_SECONDS=$${HOLDFAST_FUZZ_SECONDS:-60} $(TEST) --bins fuzz:: -- --nocapture

bench: ## Benchmarks, one JSON line each; BENCH="idle|backup-scale|restore-storm|node-cluster|mover [flags]" [MOVER=another datasafed] [N= MODE=provision|data KCM_QPS= OPERATOR=another operator's command line] (node-cluster: root)
	@MOVER='$(MOVER)' N='$(N)' MODE='$(MODE)' KCM_QPS='$(KCM_QPS)' OPERATOR='$(OPERATOR)' e2e/bench/run.sh $(or $(BENCH),idle)

release: prerequisites ## Static release binaries
	@$(IMAGES)/cargo.sh release $(BINARIES)
