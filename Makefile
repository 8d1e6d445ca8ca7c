# Two commands do everything on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

.PHONY: help demo test check verify bench clean
help:            ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "clearprop needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[cli,test,check]'
	touch $@

demo: .venv/ready    ## train on two real data sets and open one gradient
	$(BIN)/python examples/demo.py

test: .venv/ready    ## the tests, at most 5 minutes on two cores
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not verify'

check: test          ## tests, lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

verify: .venv/ready  ## every table that the docs show, at most 60 minutes
	$(BIN)/python -m pytest -n $(WORKERS) -m verify
	$(BIN)/python -m benchmarks.tables
	$(BIN)/python -m benchmarks.optimizers
	$(BIN)/python -m benchmarks.comparison
	$(BIN)/python -m benchmarks.memory

bench: .venv/ready   ## speed against peers, which are installed into .bench
	$(BIN)/python -m benchmarks

clean:               ## remove what the commands made
	rm -rf .venv .bench build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
