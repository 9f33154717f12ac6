# Everything a newcomer or a CI needs: `make demo` and `make test`. PYTHON=… picks another interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FUZZ_SECONDS ?= 300
METAWORLD := examples/metaworld_act
EPISODES ?= 60
# The newest release that pyproject.toml allows, or one of yours: make test-lerobot LEROBOT_VERSION=0.6.0
LEROBOT_VERSION ?=
LEROBOT_VENV ?= .venv-lerobot$(LEROBOT_VERSION:%=-%)
DOCS_VENV ?= .venv-docs
# LeRobot wants Python 3.12 or newer: the first that answers.
LEROBOT_PYTHON ?= $(shell for python in $(PYTHON) python3.12 python3.13 $$HOME/.pyenv/versions/3.1[23].*/bin/python3; do \
	$$python -c 'import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)

# What failed last time; that nothing did is a failure, too.
RETEST := --last-failed --last-failed-no-failures none

.PHONY: install demo test test-long retest-long test-lerobot retest-lerobot metaworld lint unit retest docs test-pythons test-wheel bench bench-smoke fuzz mutate clean

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
	$(BIN)/pytest -m "not slow"

retest: install  ## what failed last time, once more: real processes and networks on shared cores have bad days
	$(BIN)/pytest -m "not slow" $(RETEST)

test-long: install  ## the tests that take their time: networks, attacks, drills with real processes
	$(BIN)/pytest -m slow

retest-long: install  ## what failed of them last time, once more
	$(BIN)/pytest -m slow $(RETEST)

test-lerobot: install $(LEROBOT_VENV)/.installed  ## LeRobot's policies and robots, in an environment of their own, offline
	VAGUS_EDGE_PYTHON=$(abspath $(BIN)/python) $(LEROBOT_VENV)/bin/pytest tests/lerobot -q

retest-lerobot: install $(LEROBOT_VENV)/.installed  ## what failed of them last time, once more
	VAGUS_EDGE_PYTHON=$(abspath $(BIN)/python) $(LEROBOT_VENV)/bin/pytest tests/lerobot -q $(RETEST)

$(LEROBOT_VENV)/.installed: pyproject.toml
	@test -n "$(LEROBOT_PYTHON)" || { echo "LeRobot wants Python 3.12 or 3.13; name one: make test-lerobot LEROBOT_PYTHON=…"; exit 1; }
	$(LEROBOT_PYTHON) -m venv $(LEROBOT_VENV)
	$(LEROBOT_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(LEROBOT_VENV)/bin/python -m pip install --quiet --editable '.[lerobot,metrics]' \
		'lerobot[feetech,dynamixel]$(LEROBOT_VERSION:%===%)' pyzmq python-can \
		--editable tests/lerobot/plugins/lerobot_robot_vsim 'pytest==9.2.0' 'pytest-timeout==2.4.0' 'hypothesis>=6.100'
	touch $@

metaworld: $(METAWORLD)/outputs/policy/model.safetensors  ## train a small ACT, then compare it beside the robot and served
	cd $(METAWORLD) && $(abspath $(LEROBOT_VENV))/bin/python compare.py --episodes $(EPISODES)

$(METAWORLD)/outputs/policy/model.safetensors: $(LEROBOT_VENV)/.metaworld
	rm -rf $(METAWORLD)/outputs/dataset
	cd $(METAWORLD) && $(abspath $(LEROBOT_VENV))/bin/python collect.py
	cd $(METAWORLD) && $(abspath $(LEROBOT_VENV))/bin/python train.py

$(LEROBOT_VENV)/.metaworld: $(LEROBOT_VENV)/.installed
	$(LEROBOT_VENV)/bin/python -m pip install --quiet --editable '.[lerobot,gym,plot]' --group metaworld
	touch $@

docs: $(DOCS_VENV)/.installed  ## the documentation as a site in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build

$(DOCS_VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(DOCS_VENV)/bin/python -m pip install --quiet --group docs
	touch $@

test-pythons: install  ## the robot's side on every Python from 3.10 on that is present
	$(BIN)/python scripts/test_pythons.py

test-wheel: install  ## the wheel without extras, as `pip install` gives it, on every Python that is present
	$(BIN)/python scripts/test_wheel.py

bench: install  ## ratios against named peers; results in docs/benchmarks
	$(BIN)/python -m benchmarks

bench-smoke: install  ## every benchmark for a few seconds; shows that they work, asserts no times
	$(BIN)/python -m benchmarks --quick

fuzz: install  ## random and mutated bytes into every decoder
	$(BIN)/python tests/fuzz.py --seconds $(FUZZ_SECONDS)

mutate: install  ## small faults in the safety-critical modules; every one must be noticed (hours; MODULE=axis_limiter: one)
	$(BIN)/python scripts/mutate.py $(MODULE)

clean:
	rm -rf $(VENV) .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .mutation
