# One command checks everything, one shows everything: `make test`, `make demo`.
# Needs Python 3.10 or later and make; everything else is installed into .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTS_AT_ONCE := $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)  # some wait for processes

.PHONY: demo test lint bench matrix torture clean
.DEFAULT_GOAL := test

demo: $(READY)
	@$(BIN)/python sample_projects/demo.py

# Hundreds of real servers and forks on a busy machine: one test that fails is tried once more, and named at the end.
test: lint
	@$(BIN)/python -m pytest -q -n $(TESTS_AT_ONCE) --dist worksteal --reruns 1 -r R

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

# What depends on frameworks and interpreters, with the oldest frameworks that are supported and with the newest there are, each
# with a Python that runs them.
PYENV := $(HOME)/.pyenv/versions
first-that-runs = $(shell for name in $(1); do $$name -c '' 2>/dev/null && echo $$name && break; done)
compat: compat-oldest compat-newest

compat-oldest: PYTHON = $(call first-that-runs,python3.10 $(wildcard $(PYENV)/3.10*/bin/python) python3)
compat-oldest: WITH := 'django==4.2.*' 'flask[async]==2.3.*' 'werkzeug==2.3.*'
compat-newest: PYTHON = $(call first-that-runs,python3.13 $(wildcard $(PYENV)/3.13*/bin/python) python3.12 python3)
compat-newest: WITH := 'django>=5.2' 'flask[async]>=3'

compat-oldest compat-newest: compat-%:
	@test -d .compat/$* || $(PYTHON) -m venv .compat/$*
	@.compat/$*/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --editable '.[dev]' $(WITH)
	@.compat/$*/bin/python -m pytest -q -n auto --dist worksteal --reruns 1 -r R tests/django tests/flask tests/web \
		tests/codegen/test_package.py tests/codegen/test_names.py tests/delivery/test_life.py

clean:
	rm -rf $(VENV) .bench .compat build *.egg-info .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
