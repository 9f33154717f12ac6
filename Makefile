# Everything a newcomer or a CI needs: `make demo` and `make test`. PYTHON=… picks another interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FUZZ_SECONDS ?= 300
METAWORLD := examples/metaworld_act
SIDES := examples/metaworld_sides
EPISODES ?= 60
# The newest release that pyproject.toml allows, or one of yours: make test-lerobot LEROBOT_VERSION=0.6.0
LEROBOT_VERSION ?=
LEROBOT_VENV ?= .venv-lerobot$(LEROBOT_VERSION:%=-%)
DOCS_VENV ?= .venv-docs
# LeRobot wants Python 3.12 or newer: the first that answers.
LEROBOT_PYTHON ?= $(shell for python in $(PYTHON) python3.12 python3.13 $$HOME/.pyenv/versions/3.1[23].*/bin/python3; do \
	$$python -c 'import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)

OPENPI_VENV ?= .venv-openpi
# openpi's client wants numpy 1, which is not built for Python 3.13: the first older one that answers.
OPENPI_PYTHON ?= $(shell for python in $(PYTHON) python3.12 python3.11 python3.10 $$HOME/.pyenv/versions/3.1[012].*/bin/python3; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$python && break; done)

# What failed last time; that nothing did is a failure, too.
RETEST := --last-failed --last-failed-no-failures none

.PHONY: install demo test retest test-long test-lerobot retest-lerobot environment-lerobot test-openpi retest-openpi environment-openpi metaworld metaworld-sides lint unit docs test-pythons retest-pythons test-wheel bench bench-smoke fuzz mutate protos clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10), f"vagus wants Python 3.10 or newer, got {sys.version}"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[plot,metrics,gym,yaml,openpi,gr00t,lerobot-grpc,lerobot-zenoh,pointact,astribot,mcap,view]' --group dev
	touch $@

demo: install  ## run the demo: a simulated arm, a policy in another process, and faults between them
	$(BIN)/vagus demo

test: lint unit  ## run the checks and tests that every commit must pass

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: install
	$(MAKE) --jobs=3 --keep-going --output-sync=target $(UNIT:%=test-unit-%)

test-long: install  ## run the long tests: networks, attacks, faults of real processes
	$(BIN)/pytest -m slow

# The parts of the unit tests, of which `edge` does little but wait, and those of the long tests; they may run
# beside each other.
UNIT := network edge others
UNIT-network := $(addprefix tests/,api gateways integrations process server)
UNIT-edge := $(addprefix tests/,edge transport)
UNIT-others := tests $(patsubst %,--ignore=%,$(UNIT-network) $(UNIT-edge))
LONG-processes := tests/process
LONG-others := tests --ignore=tests/process

test-unit-%: install
	rm -f .pytest_cache/$@.passed
	$(BIN)/pytest -m "not slow" -o cache_dir=.pytest_cache/$@ $(UNIT-$*)
	touch .pytest_cache/$@.passed

retest: lint  ## repeat the parts of `make test` that failed last time; where no test of one did, as after a crash, it fails
	failed=$$(for part in $(UNIT); do test -e .pytest_cache/test-unit-$$part.passed || echo retest-unit-$$part; done); \
		test -n "$$failed" && make --keep-going $$failed

retest-unit-%: install  # repeats what failed in a part last time; tests of real processes may fail on a busy machine
	$(BIN)/pytest -m "not slow" -o cache_dir=.pytest_cache/$(@:re%=%) $(UNIT-$*) $(RETEST)

test-long-%: install
	$(BIN)/pytest -m slow -o cache_dir=.pytest_cache/$@ $(LONG-$*)

retest-long-%: install
	$(BIN)/pytest -m slow -o cache_dir=.pytest_cache/$(@:re%=%) $(LONG-$*) $(RETEST)

test-lerobot: install $(LEROBOT_VENV)/.installed $(OPENPI_VENV)/.installed  ## test LeRobot's policies and robots, in a separate environment, offline
	VAGUS_EDGE_PYTHON=$(abspath $(BIN)/python) VAGUS_OPENPI_PYTHON=$(abspath $(OPENPI_VENV)/bin/python) \
		$(LEROBOT_VENV)/bin/pytest -o cache_dir=.pytest_cache/test-lerobot tests/lerobot -q

retest-lerobot: install $(LEROBOT_VENV)/.installed $(OPENPI_VENV)/.installed  ## repeat the tests of them that failed last time
	VAGUS_EDGE_PYTHON=$(abspath $(BIN)/python) VAGUS_OPENPI_PYTHON=$(abspath $(OPENPI_VENV)/bin/python) \
		$(LEROBOT_VENV)/bin/pytest -o cache_dir=.pytest_cache/test-lerobot tests/lerobot -q $(RETEST)

environment-lerobot: $(LEROBOT_VENV)/.installed

$(LEROBOT_VENV)/.installed: pyproject.toml
	@test -n "$(LEROBOT_PYTHON)" || { echo "LeRobot wants Python 3.12 or 3.13; name one: make test-lerobot LEROBOT_PYTHON=…"; exit 1; }
	$(LEROBOT_PYTHON) -m venv $(LEROBOT_VENV)
	$(LEROBOT_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(LEROBOT_VENV)/bin/python -m pip install --quiet --editable '.[lerobot,metrics,lerobot-grpc,lerobot-zenoh]' \
		'lerobot[feetech,dynamixel,async]$(LEROBOT_VERSION:%===%)' pyzmq python-can \
		--editable tests/lerobot/plugins/lerobot_robot_vsim 'pytest==9.2.0' 'pytest-timeout==2.4.0' 'hypothesis>=6.100'
	touch $@

test-openpi: $(OPENPI_VENV)/.installed  ## test the gateway with openpi's own client, in a separate environment
	$(OPENPI_VENV)/bin/pytest -o cache_dir=.pytest_cache/test-openpi tests/openpi -q

retest-openpi: $(OPENPI_VENV)/.installed  ## repeat the tests of them that failed last time
	$(OPENPI_VENV)/bin/pytest -o cache_dir=.pytest_cache/test-openpi tests/openpi -q $(RETEST)

environment-openpi: $(OPENPI_VENV)/.installed

$(OPENPI_VENV)/.installed: pyproject.toml
	@test -n "$(OPENPI_PYTHON)" || { echo "openpi's client wants Python 3.10 to 3.12; name one: make test-openpi OPENPI_PYTHON=…"; exit 1; }
	$(OPENPI_PYTHON) -m venv $(OPENPI_VENV)
	$(OPENPI_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(OPENPI_VENV)/bin/python -m pip install --quiet --editable '.[openpi]' \
		'openpi-client==0.1.2' 'msgpack-numpy==0.4.8' 'pytest==9.2.0' 'pytest-timeout==2.4.0'
	touch $@

metaworld: $(METAWORLD)/outputs/policy/model.safetensors  ## train a small ACT policy, then compare it run locally and served
	cd $(METAWORLD) && $(abspath $(LEROBOT_VENV))/bin/python compare.py --episodes $(EPISODES)

$(METAWORLD)/outputs/policy/model.safetensors: $(LEROBOT_VENV)/.metaworld
	rm -rf $(METAWORLD)/outputs/dataset
	cd $(METAWORLD) && $(abspath $(LEROBOT_VENV))/bin/python collect.py
	cd $(METAWORLD) && $(abspath $(LEROBOT_VENV))/bin/python train.py

$(LEROBOT_VENV)/.metaworld: $(LEROBOT_VENV)/.installed
	$(LEROBOT_VENV)/bin/python -m pip install --quiet --editable '.[lerobot,gym,plot]' --group metaworld
	touch $@

metaworld-sides: $(SIDES)/outputs/weights.npz  ## train a small flow policy, then see what delay costs it in each way of playing chunks
	cd $(SIDES) && $(abspath $(BIN))/python simulate_sides.py outputs/weights.npz --episodes $(EPISODES)
	cd $(SIDES) && $(abspath $(BIN))/python compare_sides.py outputs/weights.npz --episodes $(EPISODES)

$(SIDES)/outputs/weights.npz: $(VENV)/.metaworld
	cd $(SIDES) && $(abspath $(BIN))/python train_sides.py outputs/weights.npz

$(VENV)/.metaworld: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group metaworld
	touch $@

docs: $(DOCS_VENV)/.installed  ## build the documentation site in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build

$(DOCS_VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(DOCS_VENV)/bin/python -m pip install --quiet --group docs
	touch $@

test-pythons: install  ## test the robot's side on every installed Python from 3.10 on
	nice $(BIN)/python scripts/test_pythons.py

retest-pythons: test-pythons  # it repeats by itself what failed, so this is a third time

test-wheel: install  ## test the wheel without extras on every installed Python
	$(BIN)/python scripts/test_wheel.py

bench: install  ## run the benchmarks against other packages; results in docs/benchmarks
	$(BIN)/python -m benchmarks

bench-smoke: install  ## run every benchmark for a few seconds, without a check of times
	$(BIN)/python -m benchmarks --quick

fuzz: install  ## feed random and mutated bytes to every decoder
	$(BIN)/python tests/fuzz.py --seconds $(FUZZ_SECONDS)

mutate: install  ## run mutation tests of the safety-critical modules (hours; MODULE=axis_limiter: one module)
	$(BIN)/python scripts/mutate.py $(MODULE)

STUBS := integrations/astribot/stubs

protos: install  ## make the stubs of Astribot's services, which the tests use as an independent peer
	$(BIN)/python -m grpc_tools.protoc -I $(STUBS)=src/vagus/integrations/astribot \
		--python_out=tests --pyi_out=tests --grpc_python_out=tests \
		$(STUBS)/openpi_inference.proto $(STUBS)/lerobot_inference.proto

clean:
	rm -rf $(VENV) .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .mutation
