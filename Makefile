# Everything happens in a virtual environment in this folder; PYTHON names the interpreter it is made from.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: reproduce reproduction reproduction-torch test test-lowest test-variants check check-packages records format
.PHONY: readme clean
.DELETE_ON_ERROR:

reproduce: $(VENV)/installed          ## train, check, compare and report the models of the specification
	$(BIN)/under20k reproduce

test: $(VENV)/installed-test          ## run every test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# A folder a commit, for finished runs are reused whatever code has trained them. As slow as it sounds.
FRESH = runs/$(shell git describe --always --dirty --abbrev=12)
# Of a folder's benches, what results/ keeps.
keep = cd $(1)/benches && for bench in *; do mkdir -p "$(CURDIR)/results/$(2)/$$bench" && cp "$$bench/bench.json" "$(CURDIR)/results/$(2)/$$bench/"; done

reproduction: $(VENV)/installed       ## train ten seeds of each, and write results, docs/reproduction and README.md anew
	mkdir -p $(FRESH)
	cd $(FRESH) && $(CURDIR)/$(BIN)/under20k reproduce --seeds 10
	cp $(FRESH)/report/*.md $(FRESH)/report/*.png docs/reproduction/
	$(call keep,$(FRESH),reproduction)
	$(BIN)/python -m tools.readme

reproduction-torch: $(VENV)/installed ## the same by the torch engine, for docs/native-engine.md
	mkdir -p $(FRESH)-torch
	cd $(FRESH)-torch && $(CURDIR)/$(BIN)/under20k reproduce --seeds 10 --engine torch
	$(call keep,$(FRESH)-torch,reproduction-torch)
	$(BIN)/python -m tools.readme

# An environment of its own, without the native engine: what it needs of others is NumPy, as all of this.
LOWEST = .venv-lowest
LOWEST_TESTS = tests/runs/test_run.py tests/runs/test_locks.py tests/runs/test_provenance.py tests/report/test_contact_sheet.py \
	tests/data/test_layouts.py tests/data/test_search.py tests/report tests/checking/test_weights_file.py \
	tests/cli/test_help.py

test-lowest: $(BIN)/python            ## run what concerns the dependencies with the lowest versions allowed
	$(BIN)/python -m venv --clear $(LOWEST)
	$(BIN)/python tools/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --constraint constraints.txt --constraint $(LOWEST)/constraints.txt \
		--config-settings wheel.cmake=false . hypothesis pytest pytest-timeout
	cd $(LOWEST) && bin/python -m pytest --quiet -W default -p no:cacheprovider -m 'not slow' --rootdir .. -c ../pyproject.toml \
		$(addprefix ../,$(LOWEST_TESTS))

test-variants: $(VENV)/installed-test ## run tests in other surroundings: encodings, notebooks, Windows' double
	$(BIN)/python -m tools.variants

check: $(VENV)/installed-lint         ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

records: $(VENV)/installed            ## check every record, and train a seed of one of them again
	$(BIN)/under20k records verify --rerun 1 --rerun-records 1

.PHONY: records-nightly
records-nightly: $(VENV)/installed    ## check every record, and train three seeds of each again, others every day
	$(BIN)/under20k records verify --rerun 3 --rerun-from "$$(git rev-parse HEAD) $$(date -u +%F)"

format: $(VENV)/installed-lint        ## apply lint fixes and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

readme: $(VENV)/installed             ## write the generated parts of README.md and docs/
	$(BIN)/python -m tools.readme

clean:                                ## remove the environments and caches (not runs/)
	rm -rf $(VENV) $(PACKAGES) $(LOWEST) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(f"under20k needs Python 3.11 or later, but $(PYTHON) is {sys.version.split()[0]}; call make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# Editable, so that the sources in this folder are what runs; repeated when the dependencies change.
$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

# The tests' native engine has one more instruction set, `wide` (native/CMakeLists.txt).
$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]' --config-settings cmake.define.UNDER20K_WIDE=ON
	@touch $@

# Of other extras the requirements alone: installing the package again would compile it again.
$(VENV)/installed-%: $(VENV)/installed
	$(BIN)/python tools/requirements.py $* > $@.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement $@.txt
	@touch $@

# The native engine. Built with the package, so again when its sources change.
.PHONY: benchmark sanitize

$(VENV)/installed: $(wildcard native/*.h native/*.cpp native/CMakeLists.txt)

BENCHMARK ?= benchmark.json

benchmark: $(VENV)/installed-benchmark   ## time the native engine against torch and ONNX Runtime, in turns
	$(BIN)/python -m benchmarks --json $(BENCHMARK)

sanitize: $(VENV)/installed-test $(VENV)/installed-sanitize   ## the native engine's tests under sanitizers
	native/sanitize.sh $(BIN)/python

# Students' models among the packages that they import, in an environment of its own: torchvision's stand-in must
# not reach the other tests. Its torch is the one of the first environment, and no native engine is built.
PACKAGES := .venv-packages
STAND_IN := $(shell find tests/packages/stand_in -path '*/build' -prune -o -name '*.py' -print -o -name '*.toml' -print -o -name '*.json' -print)

check-packages: $(PACKAGES)/installed ## check models among the packages that students import
	$(PACKAGES)/bin/python -m pytest tests/packages $(addprefix tests/checking/test_,cases.py check_fuzz.py hostile_models.py) \
	  $(PYTEST_ARGS)

$(PACKAGES)/installed: $(VENV)/installed tests/packages/requirements.txt $(STAND_IN)
	$(PYTHON) -m venv $(PACKAGES)
	$(BIN)/python -c 'import importlib.metadata as m; print("torch==" + m.version("torch"))' > $(PACKAGES)/torch.txt
	$(PACKAGES)/bin/python -m pip install --quiet --constraint $(PACKAGES)/torch.txt \
	  --config-settings wheel.cmake=false --editable . \
	  --requirement tests/packages/requirements.txt ./tests/packages/stand_in
	@touch $@
