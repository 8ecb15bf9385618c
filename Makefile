# Everything a fresh machine needs is set up by the targets themselves; a second run re-uses it.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/pytest

.PHONY: help setup demo down test soak check lint types unit bench bench-runtime lock clean ci

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make the virtual environment with the locked dependencies

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + " (set PYTHON=python3.12, say)")'
	@echo "setup: virtual environment in $(VENV) (once; about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@echo "setup: locked dependencies"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## Two real clusters, a tenant, a learning function, predictions over HTTP
	@$(BIN)/pulsar-pipeline demo

down: $(READY) ## Stop everything the demo started; its data stays until `make clean`
	@$(BIN)/pulsar-pipeline demo --down

test: $(READY) ## All tests, the integration tests on two real clusters included
	@$(PYTEST)

soak: $(READY) ## Two hundred random histories of faults of the exactly-once runtime (about an hour)
	@PULSAR_PIPELINE_HISTORIES=$${PULSAR_PIPELINE_HISTORIES:-200} $(PYTEST) -s tests/faults/test_histories.py

check: lint types unit ## Lint, types and unit tests (under a minute)

lint: $(READY)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

unit: $(READY)
	@$(PYTEST) -q tests/unit

bench: $(READY) ## Measure; figures go to bench/out
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

bench-runtime: $(READY) ## Speed, latency and memory of the runtime on a real broker (options: ARGS="--client …")
	@$(BIN)/python bench/runtime.py $(ARGS)

lock: $(READY) ## Write the hashed requirements anew from pyproject.toml
	@sh requirements/lock.sh $(BIN)/uv

clean: ## Stop the demo and remove what the targets made (downloads in ~/.cache stay)
	@test ! -x $(BIN)/pulsar-pipeline || $(BIN)/pulsar-pipeline demo --down
	@rm -rf .local $(VENV) dist build bench/out .mypy_cache .ruff_cache .pytest_cache .hypothesis
