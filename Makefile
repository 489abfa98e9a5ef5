# Thin names for what README.md describes; everything lives under .isoserve/.
PYTHON ?= python3
VENV := .isoserve/venv
RUN := $(VENV)/bin/python
PINS := .isoserve/pins/venv
ARGS ?=

.PHONY: up down packages test unit judge engine long check bench golden images pins setup

$(VENV)/.ready: requirements.txt pyproject.toml
	@echo "venv  installing the pinned packages"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The pinned packages of one folder of the toolchain, in a virtual environment of their own.
.isoserve/%/venv/.ready: regions/sandbox/toolchain/%/requirements.txt
	@echo "venv  installing the pinned packages of $*"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

setup: $(VENV)/.ready

up: setup
	@$(RUN) -m regions.sandbox up $(ARGS)

down: setup
	@$(RUN) -m regions.sandbox down

# Debian's packages that real machines need; asks for nothing where all are there.
packages: setup
	@missing="$$($(RUN) -m regions.sandbox.node.packages)" || exit 1; \
	[ -z "$$missing" ] || { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; }

test: unit judge engine

unit: setup
	@$(RUN) -m regions.sandbox.promtool
	$(RUN) -m pytest -n 2 -m "not engine and not judge" $(ARGS)

# Third-party judges over every object of every example; waivers: tests/judge/waivers.yaml.
judge: setup .isoserve/judges/venv/.ready .isoserve/runtimes/venv/.ready
	@$(RUN) -m regions.sandbox.judges
	$(RUN) -m pytest -m judge $(ARGS)

engine: setup
	@$(RUN) -m regions.sandbox build
	GOGC=300 $(RUN) -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m "engine and not judge and not long" $(ARGS)

# Releases, drains and faults of one region under load, with the real waits: half an hour.
long: setup
	@$(RUN) -m regions.sandbox build
	GOGC=300 $(RUN) -m pytest -m long $(ARGS)

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/isoserve check
	$(VENV)/bin/isoserve policy
	$(VENV)/bin/isoserve parity

bench: setup
	$(RUN) -m tests.bench $(ARGS)

# Builds every image of ours by buildah, podman or docker: ARGS="--base IMAGE@sha256:... --registry HOST/PATH".
images: setup
	@$(RUN) -m stacks.images $(ARGS)

golden: setup
	$(RUN) -m tests.golden

# Writes the hashes of every file that the index has of each pin, for all platforms. To change a
# version, change it in pyproject.toml, or in the toolchain's file itself, and run this.
pins: $(PINS)/.ready
	@for file in requirements.txt regions/sandbox/toolchain/*/requirements.txt; do \
		from=$$file; [ $$file = requirements.txt ] && from=pyproject.toml; \
		{ grep '^#' $$file; $(PINS)/bin/uv pip compile --no-deps --generate-hashes --no-annotate \
			--no-header --upgrade $$from; } >$$file.new && mv $$file.new $$file || exit 1; \
	done
