# Everything a newcomer or a CI needs: `make demo` and `make test`. PYTHON=… picks another interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FUZZ_SECONDS ?= 300

.PHONY: install demo test lint unit test-pythons bench bench-smoke fuzz clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10), f"vagus wants Python 3.10 or newer, got {sys.version}"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[plot,metrics,gym,yaml]' --group dev
	touch $@

demo: install  ## a simulated arm, a policy in another process, and everything that can go wrong between them
	$(BIN)/vagus demo

test: lint unit  ## what must be green before anything else

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: install
	$(BIN)/pytest

test-pythons: install  ## the robot's side on every Python from 3.10 on that is present
	$(BIN)/python scripts/test_pythons.py

bench: install  ## ratios against named peers; results in docs/benchmarks.md
	$(BIN)/python -m benchmarks

bench-smoke: install  ## every benchmark for a few seconds; shows that they work, asserts no times
	$(BIN)/python -m benchmarks --quick

fuzz: install  ## random and mutated bytes into every decoder
	$(BIN)/python tests/fuzz.py --seconds $(FUZZ_SECONDS)

clean:
	rm -rf $(VENV) .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
