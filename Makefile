# make demo    sets up, then does the main job from end to end
# make test    sets up, then runs lint, types and the fast tests
# make test-slow  runs the slow tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test test-slow lint format docs clean

setup: $(READY)

$(READY): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "deepseq needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

demo: $(READY)
	rm -rf demo
	$(BIN)/deepseq demo

test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile -m 'not slow' $(PYTEST)

test-slow: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow $(PYTEST)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	$(BIN)/python docs/make_cli_reference.py
	$(BIN)/sphinx-build -W -b html docs docs/_build

clean:
	rm -rf $(VENV) demo docs/_build build *.egg-info
