# Needs Python 3.11 or newer with pip, and a package index. Nothing else.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# As many workers as there are cores. In CI the order of tests and the examples are always the same,
# elsewhere they are new ones each time.
PYTEST_OPTIONS ?= -n auto --dist worksteal
ifeq ($(CI),true)
HYPOTHESIS_PROFILE ?= ci
export HYPOTHESIS_PROFILE
PYTEST_OPTIONS += --randomly-seed=1
endif
# Hundreds of tests start a process, and must not wait for the same modules to be compiled each time.
export PYTHONDONTWRITEBYTECODE :=

# A Python without `ensurepip` makes an environment without pip; then its own pip fills it.
# The version is asked after, so that a Python which is too old is told so in one line.
define install
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "agnt5 needs Python 3.11 or newer, this is " + sys.version.split()[0] or 0)'
test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || $(PYTHON) -m venv --clear --without-pip $(VENV)
if $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '$(1)'; \
else \
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check -e '$(1)'; \
fi
endef

.PHONY: help setup check lint format-check contracts mypy basedpyright test demo bench format clean

help:
	@echo 'make setup   an environment in $(VENV) with everything the checks need'
	@echo 'make check   ruff, import contracts, mypy, basedpyright'
	@echo 'make test    check, then the whole test suite'
	@echo 'make format  let ruff format and fix what it can'
	@echo 'make demo    a workflow that survives being killed'
	@echo 'make bench   measure this machine'
	@echo 'make clean   remove what the targets above made'

setup: $(VENV)/.dev

$(VENV)/.dev: pyproject.toml
	@$(call install,.[dev])
	@touch $(VENV)/.package $@

$(VENV)/.package: pyproject.toml
	@$(call install,.)
	@touch $@

check: lint format-check contracts mypy basedpyright

lint: setup
	$(BIN)/ruff check .

format-check: setup
	$(BIN)/ruff format --check .

# Without its cache, which does not see that an import of old now finds a new file.
contracts: setup
	$(BIN)/lint-imports --no-logo --no-cache

mypy: setup
	$(BIN)/mypy

basedpyright: setup
	$(BIN)/basedpyright --pythonpath $(BIN)/python

test: setup check
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: $(VENV)/.package
	$(BIN)/python examples/license_audit.py

bench: $(VENV)/.package
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
