# What one does with a clone. Each target makes .venv when it is missing, or older than pyproject.toml or constraints.txt.

.DEFAULT_GOAL := help
.PHONY: help demo demo-all up test test-all chaos check format clean
.NOTPARALLEL:
SHELL := /bin/bash

# The first Python from 3.11 to 3.13 that really runs (a pyenv shim may be there and fail). Another one: make test PYTHON=/path/to/python
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
ifndef PYTHON
PYTHON = $(shell for p in python3.13 python3.12 python3.11 python3 python; do "$$p" -c '$(FITS)' >/dev/null 2>&1 </dev/null && echo "$$p" && break; done)
endif

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: Python 3.11, 3.12 or 3.13 is needed, and none was found on PATH." >&2; \
	  echo "Install one (apt-get install python3 python3-venv, brew install python@3.13), or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c '$(FITS)' || { echo "error: PYTHON=$(PYTHON) is not Python 3.11, 3.12 or 3.13" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || { echo "error: $(PYTHON) can't make a virtual environment: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -c '$(FITS)' || { echo "making $(VENV) with $$("$(PYTHON)" --version)"; "$(PYTHON)" -m venv --clear $(VENV); }
	@echo "installing the packages of constraints.txt into $(VENV) (the first time a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## real backtests as Celery tasks, on this machine [DATADIR= STRATEGIES= PAIRS= CONFIG=]
	@$(BIN)/python -m examples.demo $(if $(DATADIR),--datadir "$(DATADIR)") $(if $(STRATEGIES),--strategies "$(STRATEGIES)") \
	  $(if $(PAIRS),--pairs "$(PAIRS)") $(if $(CONFIG),--config "$(CONFIG)") $(ARGS)

demo-all: $(STAMP) ## a comparison, a FreqAI training, a hyperopt, and the page of all runs
	@$(BIN)/python -m examples.demo.research

up: $(STAMP) ## the whole system on this machine, until Ctrl-C [REDIS_URL=]
	@exec $(BIN)/python -m tasks.local_stack $(ARGS)

# Most tests wait for leases and processes: some files at a time, more than there are cores.
AT_ONCE := -n 4 --dist loadfile

test: $(STAMP) ## every test but the slow ones, once [ARGS=]
	$(BIN)/pytest -q $(AT_ONCE) -m "not slow" $(ARGS)

test-all: $(STAMP) ## every test on each server of this machine, the slow ones too, then the crash tests ten times
	$(BIN)/pytest -q $(AT_ONCE) --server=all
	for run in 1 2 3 4 5 6 7 8 9 10; do echo "crash tests, run $$run of 10"; $(BIN)/pytest -q $(AT_ONCE) -m chaos || exit 1; done

chaos: $(STAMP) ## break everything for some minutes and count what is lost: docs/chaos.md [SEED= JOBS= MINUTES= FAULTS=]
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS)) $(if $(MINUTES),--minutes $(MINUTES)) \
	  $(if $(FAULTS),--faults $(FAULTS)) $(ARGS)

check: $(STAMP) ## lint, format, types, import rules, the model of the protocol
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m docs.protocol_model

format: $(STAMP) ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv, caches and what the local stack left in var/
	rm -rf $(VENV) var dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
