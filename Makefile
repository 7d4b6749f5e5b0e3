# make say | make test | make lint | make setup        PYTHON=python3.12 chooses another Python (3.11 or newer)
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
SENTENCE ?=

.PHONY: setup say test test-all lint format clean

## setup: .venv with everything the tests need; quick when nothing changed, right after a change of dependencies
setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt Makefile $(wildcard src/unisono/lm/native/*.[ch])
	@if ! $(BIN)/python -c '' 2>/dev/null; then \
		for python in $(PYTHON) python3.13 python3.12 python3.11; do \
			if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
				echo "making $(VENV) with $$python"; $$python -m venv --clear $(VENV); break; \
			fi; \
		done; \
	fi
	@test -x $(BIN)/python || { echo "make: no Python 3.11 or newer found; name one with PYTHON=..." >&2; exit 2; }
	@# torch first and alone, so that an index or a wheel folder with a CPU build can serve it
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(TORCH)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

## say: a sentence with the built-in voice to out.wav (SENTENCE="..." for another one)
say: $(STAMP)
	$(BIN)/unisono say $(if $(SENTENCE),"$(SENTENCE)") -o out.wav

## test: everything but the slow end-to-end checks
test: $(STAMP)
	$(BIN)/python -m pytest -q -m "not slow"

## test-all: everything
test-all: $(STAMP)
	$(BIN)/python -m pytest -q

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .ruff_cache
