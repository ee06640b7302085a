# Each target sets up what it needs: a virtual environment in .venv, installed once.
PYTHON ?= python3
# What is never imported need not be compiled; what is, once for all processes, whatever the
# environment says, and out of the way.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/bytecode
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
	-c constraints.txt

# Which part of the slow tests and of the sweeps `make test` runs: others each commit.
ROTATE := $(shell printf '%d' 0x$$(git rev-parse --short=6 HEAD 2>/dev/null || echo 0))

.PHONY: discover test test-all test-fast check benchmark compatibility figures site clean

discover: .venv/.library  ## the main job, from nothing to a loss that was found
	.venv/bin/discovery run --preset quick --out runs/quick

test: .venv/.development  ## what CI runs: all but the slow tests and sweeps, and a part of those
	.venv/bin/python -m pytest -m "slow or not slow" --rotate $(ROTATE) -n auto --dist loadfile --no-loadscope-reorder --durations 15

test-all: .venv/.development  ## every test, also what guards against releases of other packages
	.venv/bin/python -m pytest -m "slow or not slow" -n auto --dist loadfile --no-loadscope-reorder --durations 15

test-fast: .venv/.development  ## what to run while working
	.venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: .venv/.development  ## format, lint, types, direction of dependency
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

benchmark: .venv/.library  ## figures as ratios within one run
	.venv/bin/python -m benchmarks.objectives
	.venv/bin/discovery bench

compatibility: .venv/.development  ## the oldest and the newest packages and Pythons, by the wheel
	$(PIP) uv
	.venv/bin/python -m benchmarks.compatibility

figures: .venv/.library  ## those of the README and docs, and worths of what ships, from docs/results
	.venv/bin/python docs/draw.py
	.venv/bin/python docs/worth.py

site: .venv/.development  ## the documentation, into build/site: open index.html, no server and no network needed
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

clean:
	rm -rf .venv build dist *.egg-info

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.library: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

.venv/.development: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e ".[dev,docs,data,llm]"
	@touch .venv/.library $@
