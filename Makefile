# Two commands do everything on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
# Each takes PYTHON=python3.12 (a name or a path), and then has an environment of its own, `.venv-3.12`.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
ifneq ($(origin PYTHON),file)
  override PYTHON := $(or $(shell .ci/interpreter $(PYTHON)),$(error no $(PYTHON) runs here))
  VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif
BIN := $(VENV)/bin
unexport PYTHONDONTWRITEBYTECODE  # the tests start some two hundred processes, and each would compile the package again

.PHONY: help demo test fast check verify bench clean
help:            ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "clearprop needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[cli,excel,tensorboard,test,check]'
	touch $@

demo: $(VENV)/ready    ## train on two real data sets and open one gradient
	$(BIN)/python examples/demo.py

test: $(VENV)/ready    ## the tests, at most five minutes on two cores
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'not verify'

fast: $(VENV)/ready    ## a part of the tests that touches every folder, at most 2 minutes
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'fast and not verify'

check: test            ## tests, lint, format, types, and the figures of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.house

verify: $(VENV)/ready  ## the long checks and every table that the docs show; PART=kernels for one of its parts
	$(BIN)/python -m benchmarks.verify --workers $(WORKERS) $(PART)

bench: $(VENV)/ready   ## speed against peers, which are installed into .bench; KERNEL=avx2 limits all of them
	$(BIN)/python -m benchmarks $(if $(KERNEL),--kernel $(KERNEL))

clean:                 ## remove what the commands made
	rm -rf .venv .venv-3.* .bench .bench.lock build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
