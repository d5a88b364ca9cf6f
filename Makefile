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

# The web tests with the oldest frameworks that are supported and with the newest there are, each with a Python that runs them.
compat: compat-oldest compat-newest

compat-oldest: PYTHON := $(shell command -v python3.10 || command -v python3)
compat-oldest: WITH := 'django==4.2.*' 'flask[async]==2.3.*' 'werkzeug==2.3.*'
compat-newest: PYTHON := $(shell command -v python3.13 || command -v python3.12 || command -v python3)
compat-newest: WITH := 'django>=5.2' 'flask[async]>=3'

compat-oldest compat-newest: compat-%:
	@test -d .compat/$* || $(PYTHON) -m venv .compat/$*
	@.compat/$*/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --editable '.[dev]' $(WITH)
	@.compat/$*/bin/python -m pytest -q -n auto --dist worksteal tests/django tests/flask tests/web

clean:
	rm -rf $(VENV) .bench .compat build *.egg-info .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
