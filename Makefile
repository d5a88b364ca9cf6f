# One command checks everything, one shows everything: `make test`, `make demo`.
# Needs Python 3.10 or later and make; everything else is installed into .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint bench matrix torture clean
.DEFAULT_GOAL := test

demo: $(READY)
	@$(BIN)/python sample_projects/demo.py

test: lint
	@$(BIN)/python -m pytest -q -n auto --dist worksteal

lint: $(READY)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

bench: $(READY)
	@$(BIN)/python benchmarks/run.py

matrix: $(READY)
	@$(BIN)/python benchmarks/matrix.py

torture: $(READY)
	@$(BIN)/python -m pytest -q -m torture

clean:
	rm -rf $(VENV) .bench build *.egg-info .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
