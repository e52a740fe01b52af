# Darkroom.  Needs git, make and Python 3.11 to 3.14; everything else goes into .venv.

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
DARKROOM := $(PY) -m api.cli
STAMP := $(VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore
export PIP_NO_INPUT = 1

.DEFAULT_GOAL := help
.PHONY: help install demo up test check fix migrate migration lock bench chaos clean

help: ## This list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

install: $(STAMP) ## The locked dependencies and the darkroom command, in .venv (the others do it first)

$(STAMP): requirements-dev.txt pyproject.toml
	@python=; for each in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$each -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then python=$$each; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "Python 3.11 to 3.14 is needed; say which with: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
	echo "installing into $(VENV) with $$($$python --version)"; \
	test -x $(PY) || $$python -m venv $(VENV) || { echo "this Python has no venv module: install python3-venv" >&2; exit 1; }
	@$(PY) -m pip install -q --require-hashes -r requirements-dev.txt
	@$(PY) -m pip install -q --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP) ## Start everything, make a dozen pictures and films, lay them out in ./out, stop everything
	@$(DARKROOM) demo

up: $(STAMP) ## Start everything and keep it running until Ctrl-C
	@$(DARKROOM) up

test: $(STAMP) ## All tests, on real PostgreSQL, Redis and S3
	@$(PY) -m pytest -n auto

check: $(STAMP) ## Format, lint, types, import rules, unit tests: before each commit
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(PY) -m mypy --strict
	@$(BIN)/lint-imports
	@$(PY) -m pytest -q -n auto tests/unit

fix: $(STAMP) ## Format, and mend what the linter can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

migrate: $(STAMP) ## Bring the database of DARKROOM_DATABASE_URL to the newest schema
	@$(DARKROOM) migrate

migration: $(STAMP) ## A new migration from the tables: make migration NAME="what it does"
	@test -n "$(NAME)" || { echo 'say what it does: make migration NAME="add batches"' >&2; exit 2; }
	@$(DARKROOM) migrate --new "$(NAME)"

lock: $(STAMP) ## Lock the dependencies of pyproject.toml anew, with hashes
	@test -x $(BIN)/uv || $(PY) -m pip install -q uv
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --all-extras --generate-hashes \
	  --no-emit-index-url --no-header --upgrade pyproject.toml -o requirements-dev.txt
	@cp requirements-dev.txt requirements.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header pyproject.toml -o requirements.txt

chaos: $(STAMP) ## Drills: processes killed, services away, a gateway that lies; a table that should show zeros
	@$(PY) -m tests.chaos

bench: $(STAMP) ## Figures: how fast it is on this machine
	@$(PY) -m tests.benchmarks

clean: ## Remove what was made here: .venv, caches, ./out, the demo's data (not .darkroom)
	@rm -rf $(VENV) out .darkroom-demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
