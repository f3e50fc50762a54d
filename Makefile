# `make demo` and `make test` need Python 3.11 or newer and nothing else; they make their own .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := src tests benchmarks recipes
# One thread per test process: two of them fill two cores without fighting over them.
TEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

.PHONY: demo test test-slow check bench fmt

demo: $(VENV)/run
	$(BIN)/fissura demo

test: $(VENV)/dev
	$(TEST)

test-slow: $(VENV)/dev
	$(TEST) -m slow

check: $(VENV)/dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(MAKE) test

# Ours and the peers side by side; writes benchmarks/results/ and docs/performance.md.
bench: $(VENV)/bench
	for script in startup loss train predict; do $(BIN)/python benchmarks/$$script.py || exit 1; done
	$(BIN)/python benchmarks/page.py

fmt: $(VENV)/dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

# What the program needs, and then what its tests and checks need, in the versions we tested.
$(VENV)/run: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Fissura needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/dev: $(VENV)/run
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/bench: $(VENV)/run
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench,openvino]'
	touch $@
