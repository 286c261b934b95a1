# A new machine with Python 3.11 to 3.13, git and make needs only `make run` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help run test soak check ui worker deploy bench lock clean

PYTHON ?= python3
KILLS ?= 40
SEED ?= 0
UV_VERSION := 0.13.9
BIN := .venv/bin
UV = $(BIN)/python -m resnet.system.uv_as_pip $(BIN)/uv pip
PYTHON_FITS = $(PYTHON) -c "import sys; found = sys.version_info[:2]; \
	sys.exit(not (3, 11) <= found < (3, 14) and '$(PYTHON) is Python %d.%d: want 3.11, 3.12 or 3.13; \
	name one, such as: make run PYTHON=python3.12' % found)"
export DO_NOT_TRACK ?= 1
# With 1 pip refuses to install into .venv, where a user's own packages have no place.
export PIP_USER := 0
# For an account that the system does not know, as in a container; `resnet` sets them itself.
export HOME ?= $(CURDIR)/.state/home
export USER ?= $(shell id -un 2>/dev/null)

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

run: .venv/installed  ## fetch, train, evaluate, export, register, promote: the main job
	@$(BIN)/resnet run --or-synthetic

test: .venv/installed  ## the tests
	@$(BIN)/pytest --numprocesses 2 --no-loadscope-reorder --durations 20

soak: .venv/installed  ## kill trainings at random, KILLS times, and each move of an alias at every write
	@$(BIN)/pytest tests/end_to_end/soak.py tests/registry/promotion/test_kill.py \
		--kills $(KILLS) --seed $(SEED) --every-write

check: .venv/installed  ## formatting, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

ui: .venv/installed  ## Prefect's and MLflow's servers on loopback
	@$(BIN)/resnet ui

deploy: .venv/installed  ## the deployments of prefect.yaml onto the running server
	@$(BIN)/resnet deploy

worker: .venv/installed  ## executes the runs of the deployments
	@$(BIN)/resnet worker

bench: .venv/installed .state/torch/installed .state/torch/openvino  ## the table of goals, measured: about half an hour, alone on the machine
	@$(BIN)/python -m benchmarks.run --peer .state/torch/bin/python

lock: .venv/installed  ## write new hashed locks from pyproject.toml
	@for extra in test gpu jax-gpu bench; do \
		$(UV) compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
			--no-emit-index-url --no-annotate --extra $$extra pyproject.toml \
			-o $$([ $$extra = test ] && echo requirements.lock || echo requirements-$$extra.lock); \
	done

clean:  ## remove caches and what failed runs left; never the registry, DVC's cache or its remote
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build *.egg-info
	@find resnet flows tests -name __pycache__ -prune -exec rm -rf {} +
	@! test -x $(BIN)/python || $(BIN)/python -c \
		"from pathlib import Path; from resnet.checkout import worktree; worktree.remove_left_over(Path())"

# `bench` compares itself with them. Rows about what cannot be installed say so. OpenVINO needs nothing
# but NumPy; the other package that it asks for sends statistics.
.state/torch/installed:
	@$(PYTHON) -m venv --clear .state/torch
	@.state/torch/bin/python -m pip install --quiet torch==2.13.0 numpy && touch $@ \
		|| echo "PyTorch could not be installed: the rows about it will be missing"

.state/torch/openvino: | .state/torch/installed
	@.state/torch/bin/python -m pip install --quiet --no-deps openvino==2026.4.1 && touch $@ \
		|| echo "OpenVINO could not be installed: its row will be missing"

# The commands in .venv contain its path: in a checkout that was moved it is created again.
ifneq ($(shell cat .venv/installed 2>/dev/null),$(CURDIR))
.PHONY: .venv/installed
endif

.venv/installed: requirements.lock pyproject.toml
	@test "$$(cat $@ 2>/dev/null)" = "$(CURDIR)" || { $(PYTHON_FITS) && $(PYTHON) -m venv --clear .venv; }
	@$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	@$(UV) install --quiet --python $(BIN)/python --compile-bytecode --require-hashes \
		-r requirements.lock
	@$(UV) install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@echo "$(CURDIR)" > $@
