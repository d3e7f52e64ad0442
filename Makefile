# `make help` lists the targets. Everything happens in virtual environments in this folder, made by PYTHON.
PYTHON     ?= python3
PYTEST_ARGS ?=
# A process a core, which gets whole files: a file's tests share what is dear to make, or may not run side by side.
PARALLEL   := --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder
BENCHMARK  ?= benchmark.json
# Of `make benchmark`: parts to measure again in a file that is there, such as inference; by default all.
PART       ?=
# For `make reading`: pretrained models and run folders.
MODELS     ?= regularized-plus
# For `make records`: runs to compare with the records, rather than train them again.
RUNS       ?=

VENV     := .venv
LOWEST   := .venv-lowest
PACKAGES := .venv-packages
BIN      := $(VENV)/bin
PIP      := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help reproduce test test-all check format readme claims clean
.PHONY: records records-nightly reproduction reproduction-torch benchmark reading tutorial
.PHONY: browser cross test-lowest test-variants check-packages sanitize

help:                                 ## list the targets
	@awk -F ':.*## *' '/^[a-z-]+:.*## / { printf "%-20s%s\n", $$1, $$2 }' Makefile


# Every day.

reproduce: $(VENV)/installed          ## train, check and report the assignment's models: under20k reproduce
	$(BIN)/under20k reproduce

test: $(VENV)/installed-test          ## run the quick tests; PYTEST_ARGS holds more arguments for pytest
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" $(PYTEST_ARGS)

test-all: $(VENV)/installed-test      ## run every test
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

CPP = $(wildcard native/*/*.h native/*/*.cpp tests/native/*/*.cpp)

check: $(VENV)/installed-lint         ## check lint, formatting, types and imports between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/python -m tools.clang_tidy
	$(BIN)/lint-imports --no-logo --no-cache

format: $(VENV)/installed-lint        ## apply lint fixes and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

readme: $(VENV)/installed             ## write the generated parts of README.md and docs/, and check what they claim
	$(BIN)/python -m tools.readme
	$(BIN)/python -m tools.claims

claims: $(VENV)/installed             ## check that results/ bears out what docs/ says of it
	$(BIN)/python -m tools.claims

clean:                                ## remove environments, builds and caches; runs/ stays
	rm -rf $(VENV) $(PACKAGES) $(LOWEST) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis


# Numbers in README.md, docs/ and records/.

records: $(VENV)/installed            ## verify every record, and retrain one seed of one of them
	$(BIN)/under20k records verify --rerun 1 --rerun-records 1 $(if $(RUNS),--reuse-runs $(RUNS))

records-nightly: $(VENV)/installed    ## verify every record, and retrain three seeds of each, different ones every day
	$(BIN)/under20k records verify --rerun 3 --rerun-from "$$(git rev-parse HEAD) $$(date -u +%F)"

# One folder per commit, since finished runs are reused whatever code trained them. This takes hours.
FRESH = runs/$(shell git describe --always --dirty --abbrev=12)
# The part of a folder's benches that results/ keeps.
keep = cd $(1)/benches && for bench in *; do mkdir -p "$(CURDIR)/results/$(2)/$$bench" && cp "$$bench/bench.json" "$(CURDIR)/results/$(2)/$$bench/"; done

reproduction: $(VENV)/installed       ## train ten seeds of each recipe; rewrite results/ and docs/reproduction (hours)
	mkdir -p $(FRESH)
	cd $(FRESH) && $(CURDIR)/$(BIN)/under20k reproduce --seeds 0-9
	cp $(FRESH)/report/report.md $(FRESH)/report/curves-*.png docs/reproduction/
	$(call keep,$(FRESH),reproduction)
	$(BIN)/python -m tools.readme

reproduction-torch: $(VENV)/installed ## the same with the torch engine, for docs/native-engine.md (hours)
	mkdir -p $(FRESH)-torch
	cd $(FRESH)-torch && $(CURDIR)/$(BIN)/under20k reproduce --seeds 0-9 --engine torch
	$(call keep,$(FRESH)-torch,reproduction-torch)
	$(BIN)/python -m tools.readme

benchmark: $(VENV)/installed-benchmark ## time the native engine against PyTorch and ONNX Runtime, in turns
	$(BIN)/python -m benchmarks --json $(BENCHMARK) $(if $(PART),--only $(PART) --update)

reading: $(VENV)/installed-test       ## measure how MODELS read digits that are not MNIST's; rewrite docs/reading.md
	$(BIN)/python -m benchmarks.reading --model $(MODELS) --json results/reading.json
	$(BIN)/python -m tools.readme

tutorial: $(VENV)/installed-test      ## run docs/tutorial.ipynb and the commands of docs/your-model.md; write what they print
	$(BIN)/python -m tools.tutorial
	$(BIN)/python -m tests.support.transcripts --write


# Tests in other environments.

BROWSERS := chromium chromium-browser google-chrome google-chrome-stable

# The tests of pages skip without one. With UNDER20K_BROWSER=required they fail.
browser:                              ## install Chromium for the tests of pages, where no browser is and apt-get may
	@for name in $(BROWSERS); do command -v $$name && exit; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends chromium fonts-dejavu-core; \
	else echo "no Chromium or Chrome is on PATH; install one" >&2; exit 1; fi

CROSS := gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm

# The tests of exported C skip what needs them.
cross:                                ## install Arm's compiler and emulator, and Clang, for tests of exported C
	@if command -v arm-none-eabi-gcc && command -v qemu-system-arm && command -v clang; then exit; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends $(CROSS) clang; \
	else echo "install $(CROSS) clang" >&2; exit 1; fi

# Without the native engine: all that it needs of the dependencies is NumPy, as the rest does.
LOWEST_TESTS = tests/runs/test_run.py tests/runs/test_locks.py tests/runs/test_provenance.py tests/report/test_contact_sheet.py \
	tests/data/test_layouts.py tests/data/test_search.py tests/report tests/checking/weights/test_weights_file.py \
	tests/cli/test_help.py

test-lowest: $(BIN)/python            ## run quick tests with the lowest version of each dependency
	$(BIN)/python -m venv --clear $(LOWEST)
	$(BIN)/python tools/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --constraint constraints.txt --constraint $(LOWEST)/constraints.txt \
		--config-settings wheel.cmake=false . hypothesis pytest pytest-timeout
	cd $(LOWEST) && bin/python -m pytest --quiet -W default -p no:cacheprovider -m 'not slow' --rootdir .. -c ../pyproject.toml \
		$(addprefix ../,$(LOWEST_TESTS))

test-variants: $(VENV)/installed-test ## run quick tests in other environments: encodings, notebooks, simulated Windows
	$(BIN)/python -m tools.variants

# Students' models among the packages that they import, in an environment of its own: torchvision's stand-in must
# not reach the other tests. Its torch is the one of the first environment, and no native engine is built.
check-packages: $(PACKAGES)/installed ## check models together with the packages that students import (1.6 GB)
	$(PACKAGES)/bin/python -m pytest tests/packages tests/checking/test_cases.py tests/checking/test_fuzz.py \
		tests/checking/sandbox/test_hostile_models.py $(PYTEST_ARGS)

sanitize: $(VENV)/installed-test $(VENV)/installed-sanitize ## run the native engine's tests under sanitizers
	tests/native/sanitize/sanitize.sh $(BIN)/python


# Environments. A file says what is installed in one; it is older than what asks for another installation.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(f"under20k needs Python 3.11 or later, but $(PYTHON) is {sys.version.split()[0]}; call make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# Editable, so that the sources in this folder are what runs.
$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt $(wildcard native/*/*.h native/*/*.cpp native/CMakeLists.txt)
	$(PIP) --editable .
	@touch $@

# The tests' native engine has one more instruction set, `wide` (native/CMakeLists.txt).
$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python tools/requirements.py test > $@.txt
	$(PIP) --requirement $@.txt
	$(PIP) --editable '.[cluster,export]' --config-settings cmake.define.UNDER20K_WIDE=ON
	@touch $@

# Another dependency group.
$(VENV)/installed-%: $(VENV)/installed
	$(BIN)/python tools/requirements.py $* > $@.txt
	$(PIP) --requirement $@.txt
	@touch $@

STAND_IN := $(shell find tests/packages/stand_in -path '*/build' -prune -o -name '*.py' -print -o -name '*.toml' -print -o -name '*.json' -print)

$(PACKAGES)/installed: $(VENV)/installed tests/packages/requirements.txt $(STAND_IN)
	$(PYTHON) -m venv $(PACKAGES)
	$(BIN)/python -c 'import importlib.metadata as m; print("torch==" + m.version("torch"))' > $(PACKAGES)/torch.txt
	$(PACKAGES)/bin/python -m pip install --quiet --constraint $(PACKAGES)/torch.txt \
		--config-settings wheel.cmake=false --editable . \
		--requirement tests/packages/requirements.txt ./tests/packages/stand_in
	@touch $@
