# make train            train and evaluate a first policy
# make test             every check and every test
# make parity           only the tests against recordings of the original, under MuJoCo 3.3.7 (part of make test)
# make attack           bad files, folders and command lines, and kills, twenty times as many as make test
# make bench            speed: gradient step, whole training, sampling
# make bench-guard      what became slower by more than 15 %, as ratios to the machine's own yardsticks
# make bench-peers      speed beside OmniSafe's SACLag, installed in an environment of its own (needs Python 3.10, 6 GB)
# make wheels           builds the wheel, and trains from it under each of PYTHONS
# PYTHON=python3.12     another interpreter, in a folder of its own: make test PYTHON=python3.12 VENV=.venv-3.12

PYTHON ?= python3
PYTHONS ?= python3.11 python3.12 python3.13
VENV ?= .venv
BIN := $(VENV)/bin
OLD := $(VENV)-mujoco-3.3.7

TASK ?= SafetyPointGoal1-v0
ROOT ?= runs/demo

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES := pyproject.toml constraints.txt src/statewise/__init__.py

.PHONY: train check test attack parity bench bench-guard bench-peers wheels clean

train: $(VENV)/.installed
	$(BIN)/statewise train sac-alam $(TASK) --preset demo --root $(ROOT) --overwrite
	$(BIN)/statewise evaluate "$$(ls -td $(ROOT)/$(TASK)/sac-alam/seed-* | head -n 1)" --episodes 10 --checkpoint best

check: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo
	$(BIN)/python docs/tables.py --check

test: check parity
	$(BIN)/python -m pytest -n 2 --dist worksteal --timeout 900

attack: $(VENV)/.installed-dev
	STATEWISE_ATTACK=20 $(BIN)/python -m pytest -n 2 --dist worksteal tests/attack

# The worlds under the MuJoCo release that still does as the original's did: agreement to the bit, or nearly.
parity: $(OLD)/.installed
	PYTHONPATH=src $(OLD)/bin/python -m pytest -n 2 --dist worksteal --timeout 900 -m "not slow" \
	  $(addprefix tests/navigation/test_,stream_parity.py recorded_states.py teacher_forced.py navigation_env.py) \
	  tests/envs/test_velocity_parity.py

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/update.py --output benchmarks/results
	$(BIN)/python benchmarks/onpolicy.py --output benchmarks/results
	$(BIN)/python benchmarks/training.py --output benchmarks/results
	$(BIN)/python benchmarks/envs.py --output benchmarks/results
	$(BIN)/python benchmarks/navigation.py --output benchmarks/results

bench-guard: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/guard.py

bench-peers: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/peers.py --output benchmarks/results

# The wheel, in an empty environment of each interpreter: installs, and trains.
wheels:
	rm -rf dist
	$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	for python in $(PYTHONS); do \
	  rm -rf $(VENV)-wheel && $$python -m venv $(VENV)-wheel && \
	  $(VENV)-wheel/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl && \
	  $(VENV)-wheel/bin/python --version && \
	  $(VENV)-wheel/bin/statewise train sac-alam SafetySwimmerVelocity-v1 --total-steps 3000 \
	    --warmup-steps 1000 --eval-interval 3000 --eval-envs 1 --root dist/runs --overwrite || exit 1; \
	done

clean:
	rm -rf $(VENV) $(VENV)-wheel $(OLD) build dist .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(OLD)/.installed: constraints.txt
	$(PYTHON) -m venv $(OLD)
	grep -v "^mujoco" constraints.txt > $(OLD)/constraints.txt
	$(OLD)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(OLD)/constraints.txt \
	  mujoco==3.3.7 gymnasium hypothesis numba pytest pytest-timeout pytest-xdist
	touch $@

$(VENV)/.installed: $(SOURCES) | $(BIN)/python
	$(INSTALL) --editable .
	touch $@

$(VENV)/.installed-dev: $(SOURCES) | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	touch $@ $(VENV)/.installed
