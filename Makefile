# Needs Python 3.11 or newer with venv, and make. Bare `make` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
JOBS ?= 2
BENCH_ARGS ?=
SEED ?=
SECONDS ?= 600
TASKS ?= 1000000

.DEFAULT_GOAL := help

.PHONY: help run demo test bench bench-quick chaos lint format examples messages screenshot clean

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -nE 's/^([a-z-]+):.*  ## (.*)/  make \1: \2/p' $(MAKEFILE_LIST)

run: $(VENV)/.run  ## start the tracker on HOST:PORT (127.0.0.1:3010), with its database and scheduler
	@exec $(BIN)/python manage.py serve

demo: $(VENV)/.run  ## watch eight workers drain a queue; needs no server and leaves nothing behind
	@exec $(BIN)/python -m demo

test: $(VENV)/.dev  ## run the tests, in JOBS=2 processes; PYTEST_ARGS=tests/tasks runs some of them
	@exec $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

bench: $(VENV)/.run  ## compare the tracker's speed with its database's own limit; takes about 25 minutes
	@exec $(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-quick: $(VENV)/.run  ## measure the most important rows at a smaller size; takes two minutes
	@exec $(BIN)/python -m benchmarks --quick $(BENCH_ARGS)

chaos: $(VENV)/.run  ## kill the tracker's processes under load and check that nothing is lost; SEED= SECONDS=600 TASKS=
	@exec $(BIN)/python -m chaos $(if $(SEED),--seed $(SEED)) --seconds $(SECONDS) --tasks $(TASKS)

lint: $(VENV)/.dev  ## check style, types, the direction of imports and that no migration is missing
	@export TRACKER_DATA_DIR=$$(mktemp -d) && trap 'rm -rf "$$TRACKER_DATA_DIR"' EXIT && set -ex \
		&& $(BIN)/ruff check . \
		&& $(BIN)/ruff format --check . \
		&& $(BIN)/mypy \
		&& $(BIN)/lint-imports --no-logo --no-cache \
		&& $(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/.dev  ## format the code as `make lint` requires
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

examples: $(VENV)/.dev  ## record the examples of /api/docs again
	@RECORD_EXAMPLES=1 $(BIN)/python -m pytest -q tests/api/test_examples.py

screenshot: $(VENV)/.dev  ## take README's screenshot again; needs chromium
	@$(BIN)/python docs/screenshot.py

messages: $(VENV)/.dev  ## update the French translation catalogue from the code; needs gettext
	$(BIN)/python manage.py makemessages -l fr --no-wrap --no-location --no-obsolete --ignore tests --ignore var --ignore '$(VENV)'
	$(BIN)/python manage.py compilemessages --ignore '$(VENV)'

clean:  ## remove the virtual environment and caches, not the data in var/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# Stamp files: packages are installed again only when the requirements change.

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11; set PYTHON=... to a newer one."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.run
