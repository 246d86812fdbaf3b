# make book | make unit | make test | make help: everything installs itself into .venv
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

# The first Python on the path that is new enough; or say which: make book PYTHON=python3.12
PYTHON ?= $(shell for p in python3 python python3.14 python3.13 python3.12 python3.11; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP_ARGS ?=
BIN := .venv/bin
READY := $(BIN)/.ready
BENCH := .venv-bench/bin
BENCH_READY := $(BENCH)/.ready
RUNS := .venv-runs/bin
RUNS_READY := $(RUNS)/.ready
PROFILE ?= laptop
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
TESTS ?= tests notebooks
# Only what reads the built book waits for it. It shows what a fresh clone does, so it is built without data.
BOOK_FOR_TESTS = $(if $(filter-out tests/unit% tests/regression% tests/faults%,$(TESTS)),GENCLUST_DATA=$(CURDIR)/_build/no-data $(BIN)/genclust book)
# Two at once, with a thread each; in the order of tests/conftest.py, which begins with the longest.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help faults install baselines book strict unit test notebook runs bench bench-gpu lint clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  make notebook NAME=simple-table1 ARGS="-p seeds 0-2 -p w_gaussian 3"   (ARGS=--list: its parameters)'

install: $(READY) ## install everything into .venv, unless it is there and up to date

$(READY): pyproject.toml constraints.txt
	@if ! $(BIN)/python $(NEW_ENOUGH) 2>/dev/null; then \
	  if [ -z "$(PYTHON)" ] || ! $(PYTHON) $(NEW_ENOUGH) 2>/dev/null; then \
	    echo "install: Python 3.11 or newer is needed; found: $$($(or $(PYTHON),python3) --version 2>&1)." >&2; \
	    echo "install: name another one with: make PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
	  echo "install: new environment .venv ($$($(PYTHON) --version))"; \
	  $(PYTHON) -m venv --clear .venv || { \
	    echo "install: $(PYTHON) cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; fi
	@echo "install: packages, as pinned in constraints.txt (a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[book,test]' \
	  > .venv/install.log 2>&1 || { tail -n 30 .venv/install.log >&2; echo "install: failed, see .venv/install.log" >&2; exit 1; }
	@touch $@

# ClustPy by itself: what it asks for would replace this torch by a CUDA build, and what it needs is there already.
baselines: $(READY) ## install what only the baselines need into .venv: umap-learn and ClustPy (needs a C compiler)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[baselines]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt --no-deps clustpy

book: $(READY) ## run the notebooks that need it and build the book: _build/html/index.html
	@$(BIN)/genclust book

strict: $(READY) ## the same from nothing, with every warning an error
	@$(BIN)/genclust book --strict

unit: $(READY) ## run the quick tests of the library: no book, no data, no browser
	@$(PYTEST) -m "not (slow or browser or engine)" tests/unit
	@echo "unit: all passed"

test: $(READY) ## build the book, then run all tests; TESTS=tests/unit/models for some
	@$(BOOK_FOR_TESTS)
	@$(PYTEST) --nbval --nbval-sanitize-with tests/nbval.cfg $(TESTS)
	@echo "test: all passed"

notebook: $(READY) ## run one notebook with new parameters: _build/notebooks/NAME.ipynb
	@if [ -z "$(NAME)" ]; then echo 'notebook: say which: make notebook NAME=simple-table1 ARGS="-p seeds 0-2"' >&2; \
	  ls notebooks | sed -n 's/\.ipynb$$//p' >&2; exit 1; fi
	@$(BIN)/genclust notebook $(NAME) $(ARGS)

# Snakemake wants another release of packaging than the book, so it has an environment of its own.
$(RUNS_READY): workflow/requirements.txt | $(READY)
	@echo "install: Snakemake, in .venv-runs (half a minute)"
	@$(BIN)/python -m venv --clear .venv-runs
	@$(RUNS)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -r workflow/requirements.txt
	@touch $@

runs: $(RUNS_READY) ## run what the stores lack, from the present commit: PROFILE=laptop|slurm|gpu ARGS="simple-table1 --profile quick"
	@PYTHON="$(CURDIR)/$(BIN)/python" SNAKEMAKE="$(CURDIR)/$(RUNS)/snakemake" workflow/runs.sh $(PROFILE) $(ARGS)

# The peers want packages of their own, so what measures has an environment of its own.
$(BENCH_READY): pyproject.toml constraints.txt benchmarks/requirements.txt | $(READY)
	@echo "install: the library and its peers, in .venv-bench (a few minutes)"
	@$(BIN)/python -m venv --clear .venv-bench
	@$(BENCH)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[test]' \
	  > .venv-bench/install.log 2>&1 || { echo "install: failed, see .venv-bench/install.log" >&2; exit 1; }
	@for peer in $$(grep -v '^\#' benchmarks/requirements.txt); do \
	  $(BENCH)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) --no-deps $$peer \
	    >> .venv-bench/install.log 2>&1 || echo "install: $$peer cannot be had here, so it is not measured"; done
	@touch $@

bench: $(BENCH_READY) ## measure speed against pythae, ClustPy and a plain loop: benchmarks/results/cpu.json
	@$(BENCH)/python -m benchmarks cpu $(ARGS)

bench-gpu: $(READY) ## measure speed on a CUDA device: benchmarks/results/gpu.json
	@$(BIN)/python -m benchmarks gpu $(ARGS)

faults: $(READY) ## make every wrong line of tests/faults/faults.yaml in a copy, and see that some test notices it
	@nice $(BIN)/python tests/faults/check.py $(ARGS)

lint: $(READY) ## style and types
	@$(BIN)/ruff check . && $(BIN)/mypy

clean: ## remove what was built
	@rm -rf _build && echo "clean: removed _build"

distclean: clean ## and the environment
	@rm -rf .venv .venv-bench .venv-runs && echo "clean: removed .venv, .venv-bench and .venv-runs"
