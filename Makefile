# make sweep: install and run the quickstart. make test: install and test. Needs Python >= 3.11, pip and git.
# make test-cluster: test on a Slurm of one node that it starts and stops. Needs root on Debian or Ubuntu.
PYTHON ?= python3
CLUSTER_TESTS ?= tests/cluster
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: install sweep study test test-faults check lock clean

install: .venv/installed

sweep: install
	$(BIN)/p2p-sweep -m +experiment=quickstart

# Every experiment on the embedded model and their report in results/world: hours; again, it goes on where it stopped.
study: install
	$(BIN)/python scripts/study.py

# A test file a process and a processor each, one thread in each.
test: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# Processes killed at fifty random moments, full disks, broken files; `make test` has a short form.
test-faults: .venv/installed-dev
	P2P_KILLS=50 $(BIN)/python -m pytest tests/faults -rA

test-cluster: .venv/installed-dev
	@variables="$$($(BIN)/python tests/cluster/cluster.py start)" && eval "$$variables" && \
	{ $(BIN)/python -m pytest --durations=0 $(CLUSTER_TESTS); status=$$?; \
	$(BIN)/python tests/cluster/cluster.py stop; exit $$status; }

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements.txt
	$(PIP) --no-deps --editable .
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(PIP) --require-hashes -r requirements-dev.txt
	touch $@

# Pin the newest versions that pyproject.toml allows, for every platform and Python version.
lock:
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes pyproject.toml -o requirements.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
