# Needs Python >= 3.10, make and a C++ compiler; everything else is installed into $(VENV).

PYTHON ?= python3
VENV ?= .venv
PORT ?= 29517
# Processes that run the tests.
JOBS ?= 2
# The oldest and the newest Python of pyproject.toml, and which tests `make quick` and `make test-matrix` run.
OLDEST ?= python3.10
NEWEST ?= python3.13
TESTS ?= tests

PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.powerqe-installed
PREPARE := $(PY) data_pre_process
DCN := net/ops/dcn
SCRIPTS := train.py test.py enhance.py demo.py
ROOMS := algorithm data_pre_process dataset evaluation inference net utils

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install test quick gpu-check test-matrix _test lint format quickstart clean distclean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## create .venv, install PowerQE and its requirements there, compile its operators
	-@$(PY) $(DCN)/build.py

test: lint ## lint, compile, then run all tests
	$(PY) $(DCN)/build.py
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal

quick: $(INSTALLED) ## run the tests that are not marked slow (2 minutes)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal -m 'not slow' $(TESTS)

gpu-check: ## on a machine with a GPU: its tests, speed and memory, into benchmarks/GPU.md (8 minutes)
	@$(if $(wildcard $(PY)),$(PY),$(PYTHON)) benchmarks/gpu_check.py

test-matrix: ## run all tests with the oldest and with the newest Python and dependencies; before a release
	PIP_CONSTRAINT=$(abspath tests/oldest.txt) $(MAKE) _test VENV=build/matrix/oldest PYTHON=$(OLDEST)
	$(MAKE) _test VENV=build/matrix/newest PYTHON=$(NEWEST)

_test: install
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal $(TESTS)

lint: $(INSTALLED) ## check style and types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	@rm -rf build/typing && mkdir -p build/typing/powerqe
	@ln -s $(ROOMS:%=../../../%) $(patsubst %,../../../%,$(wildcard powerqe/*)) build/typing/powerqe && ln -s $(SCRIPTS:%=../../%) build/typing
	$(VENV)/bin/pyright

format: $(INSTALLED) ## put all files in the project's style
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

quickstart: $(INSTALLED) ## prepare data, train, test and compare on embedded photographs (5 minutes, no GPU)
	$(PREPARE)/main_quickstart_data.py
	$(PREPARE)/main_down_sample.py quickstart 2
	$(PREPARE)/main_compress_jpeg.py quickstart/raw_ds_2 10 quickstart/jpeg_ds_2
	$(PREPARE)/main_create_lmdb.py quickstart/raw_ds_2
	$(PREPARE)/main_create_lmdb.py quickstart/jpeg_ds_2/qf10
	OMP_NUM_THREADS=1 $(PY) -m torch.distributed.run --nproc_per_node=2 --master_port=$(PORT) train.py --opt opts/quickstart.yml
	$(PY) test.py --opt opts/quickstart.yml
	@echo 'look at exp/quickstart-qf10/crops.png (compressed | enhanced | original) and results.md beside it'

clean: ## remove caches and build products
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis $(DCN)/build $(DCN)/*.so
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv and the quickstart's data
	rm -rf $(VENV) data/quickstart

# Installed once, and again when the requirements change.
$(INSTALLED): pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo 'error: PowerQE needs Python 3.10 or newer; name one with: make PYTHON=/path/to/python3' >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'error: $(PYTHON) cannot create virtual environments; on Debian or Ubuntu: apt install python3-venv' >&2; exit 2; }
	$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PY) -m pip install -e '.[test]'
	@touch $@
