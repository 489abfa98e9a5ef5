# Thin names for what README.md describes; everything lives under .isoserve/.
PYTHON ?= python3
VENV := .isoserve/venv
RUN := $(VENV)/bin/python
ARGS ?=

.PHONY: up down test unit engine check bench golden setup

$(VENV)/.ready: requirements.txt pyproject.toml
	@echo "venv  installing the pinned packages"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/.ready

up: setup
	@$(RUN) -m regions.sandbox up $(ARGS)

down: setup
	@$(RUN) -m regions.sandbox down

test: unit engine

unit: setup
	@$(RUN) -m regions.sandbox.promtool
	$(RUN) -m pytest -n 2 -m "not engine" $(ARGS)

engine: setup
	@$(RUN) -m regions.sandbox build
	$(RUN) -m pytest -m engine $(ARGS)

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/isoserve check
	$(VENV)/bin/isoserve parity

bench: setup
	$(RUN) -m tests.bench $(ARGS)

golden: setup
	$(RUN) -m tests.golden
