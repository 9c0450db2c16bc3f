# Every target does its own set-up on a fresh Debian 12 or Ubuntu machine; those that need root say so.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help prerequisites cluster-up cluster-down cluster-status images demo demo-down test test-unit test-api e2e crash bench release

CLUSTER := e2e/cluster
IMAGES := e2e/images
BENCH ?=

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
	@$(IMAGES)/build.sh holdfast-dp "$$($(IMAGES)/cargo.sh dp holdfast-dp)"
	@$(IMAGES)/build.sh datasafed "$$($(IMAGES)/cargo.sh mover datasafed)"
	@if $(CLUSTER)/status.sh >/dev/null 2>&1; then $(IMAGES)/load.sh pause busybox postgres holdfast-dp datasafed; fi

demo: prerequisites ## The main job, start to end: back up and restore a PostgreSQL (root)
	@e2e/demo.sh up

demo-down: ## Take away what the demo made
	@e2e/demo.sh down

test: test-unit test-api e2e ## All test levels (bench is apart)

test-unit: ## Pure and golden tests, seconds
	cargo test --workspace --exclude e2e-api --exclude e2e-node

test-api: ## Tests against a real API server, no node
	@$(CLUSTER)/build.sh api
	cargo build -p dp
	cargo test -p e2e-api

e2e: prerequisites ## Tests on the real node (root)
	cargo test -p e2e-node

crash: ## Kill the operator at every write
	@$(CLUSTER)/build.sh api
	cargo build -p dp
	cargo test -p e2e-api --test crash

bench: ## Benchmarks, one JSON line each; BENCH="name args"
	cargo run -p bench -- $(BENCH)

release: prerequisites ## Static release binaries
	@$(IMAGES)/cargo.sh dp holdfast-dp release
	@$(IMAGES)/cargo.sh mover datasafed release
