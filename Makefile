# Kiln: every task that a contributor needs. `make` alone prints them.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
LISTEN ?= 127.0.0.1:8080
# Where the site will be published, such as https://example.com; without it pages have no absolute URLs.
BASE_URL ?=
# The programs are those for use; `make test` tries the ones that its tests were linked with (debug), so that nothing is
# compiled twice.
PROFILE ?= release
KILND := $(TARGET)/$(PROFILE)/kilnd
KILN_FLAGS := $(if $(BASE_URL),--base-url $(BASE_URL))

# Timestamps in a build are those of the last commit. Without git, and without the variable, there are none.
COMMITTED := $(shell git log -1 --format=%ct 2>/dev/null)
SOURCE_DATE_EPOCH ?= $(COMMITTED)
# For kiln alone: the build scripts of C libraries look at it too, and would compile anew after each commit.
KILN := $(if $(SOURCE_DATE_EPOCH),SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) )$(TARGET)/$(PROFILE)/kiln

.PHONY: help run build binaries dev test prepare check unit twice e2e lighthouse bench image clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: build ## compile Kiln, then its own site, and serve it at http://127.0.0.1:8080 (LISTEN=ADDRESS:PORT for elsewhere)
	@echo "serving http://$(LISTEN)/ – stop it with Ctrl-C"
	@exec dist/kilnd dist/site.bundle --listen $(LISTEN)

build: binaries ## compile Kiln and its own site into dist/ (BASE_URL=https://… where it will be published)
	$(KILN) build --site . --out dist $(KILN_FLAGS)
	@install -m 755 $(KILND) dist/kilnd

binaries:
	@command -v $(CARGO) >/dev/null || { echo "make: \`$(CARGO)\` is not installed: get Rust from your distribution or by rustup" >&2; exit 1; }
	$(CARGO) $(if $(filter debug,$(PROFILE)),test --workspace --no-run,build --release --bin kiln --bin kilnd) --locked $$(.ci/assembler)

dev: binaries ## serve the site from memory while it is written, drafts included; open pages show every change
	@exec $(TARGET)/$(PROFILE)/kiln dev --watch --listen $(LISTEN)

test: prepare check unit ## everything: format, lints, all tests, two builds compared, the site in a real browser
	@$(MAKE) --no-print-directory PROFILE=debug twice e2e
	@echo "make test: all done"

prepare:
	@.ci/prepare

check: ## format and lints, without running a test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked $$(.ci/assembler) -- -D warnings

unit: ## the tests of the crates, documentation examples included
	$(CARGO) test --workspace --locked $$(.ci/assembler)

twice: build ## build the site twice, with one thread and with several, and compare the bundles byte for byte
	rm -rf $(TARGET)/twice
	$(KILN) build --site . --out $(TARGET)/twice/one --jobs 1 --quiet
	$(KILN) build --site . --out $(TARGET)/twice/many --jobs 4 --quiet
	cmp $(TARGET)/twice/one/site.bundle $(TARGET)/twice/many/site.bundle
	@echo "twice: the same bytes"

e2e: build ## the site in Chromium (skipped, loudly, where Chromium or Node can't be had)
	@KILN="$(abspath $(TARGET)/$(PROFILE)/kiln)" .ci/e2e

lighthouse: build ## Lighthouse and the weight of the first view, for this site and a new one (takes minutes; fetches Lighthouse)
	cd e2e && npm ci --include=optional --ignore-scripts --no-audit --no-fund
	cd e2e && CHROME_PATH="$${CHROME_PATH:-$$(command -v chromium || command -v google-chrome)}" KILN="$(abspath $(TARGET)/$(PROFILE)/kiln)" node lighthouse.mjs

bench: ## the benchmarks of the crates (PHOTOS=folder: the photographs that the image road is measured with)
	$(CARGO) bench --workspace --locked $$(.ci/assembler)

# Docker before 23 has BuildKit, but has to be asked for it.
image: ## a container image with the server and the site (wants Docker or Podman; BASE_URL=https://…)
	DOCKER_BUILDKIT=1 $$(command -v docker || command -v podman) build --tag kiln-site \
	  --build-arg SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) --build-arg BASE_URL=$(BASE_URL) \
	  --build-arg COMMIT=$$(git log -1 --format=%h --abbrev=12 -- Cargo.toml Cargo.lock bundle runtime compiler 2>/dev/null) .

clean: ## delete what was built
	$(CARGO) clean
	rm -rf dist .kiln e2e/node_modules e2e/screenshots
