# Python 3.11 or newer is all that these need; they make their own .venv.
# On Windows: make from Git Bash or MSYS2 (`choco install make`).
VENV := .venv
ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := $(VENV)/Scripts
else
PYTHON ?= python3
BIN := $(VENV)/bin
endif
CORE := tests/losses tests/metrics tests/measurement tests/inference tests/inspection tests/files tests/data/masks tests/test_checkpoint.py
SOURCES := src tests benchmarks recipes examples .ci
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# One thread per test process: two of them fill two cores without fighting over them.
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo test test-slow check docs dist coverage bench campaign licenses audit sbom test-minimal fmt

# Photos in, a measured report out; then a short training.
demo: $(VENV)/run
	$(BIN)/fissura demo

test: $(VENV)/dev
	$(TEST)

# Half an hour rather than seconds: a browser, real data, kills, compiled losses.
test-slow: $(VENV)/dev
	$(TEST) -m slow

# Everything that CI checks.
check: $(VENV)/dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(MAKE) docs
	$(MAKE) test

# The documentation site, in site/; a broken link or reference is an error.
docs: $(VENV)/dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# Wheel and sdist, in dist/, and the wheel tried in an empty environment.
dist: $(VENV)/dev
	$(BIN)/python .ci/dist.py

# Lines of src that the tests run, and the total.
coverage: $(VENV)/dev
	$(TEST) --cov=src --cov-report=term:skip-covered

# Ours and the peers side by side; writes benchmarks/results/ and docs/performance.md.
bench: $(VENV)/dev
	for script in startup loss train predict engines; do $(BIN)/python benchmarks/$$script.py || exit 1; done
	$(BIN)/python benchmarks/page.py

# Hostile days: an hour of spoiled files, kills and full disks; writes docs/reliability.md.
# A share of it: make campaign OPTIONS="--minutes 10".
campaign: $(VENV)/dev
	$(BIN)/python -m tests.campaign $(OPTIONS)

# The licences of all packages that are needed, by extra: make licenses OPTIONS="train geo".
licenses: $(VENV)/dev
	$(BIN)/python .ci/licenses.py $(OPTIONS)

# Known vulnerabilities of the tested versions, by a tool in an environment of its own.
audit:
	$(PYTHON) -m venv $(VENV)-tools
	$(VENV)-tools/bin/python -m pip install --quiet pip-audit
	$(VENV)-tools/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

# What a release consists of (CycloneDX), by the wheel in dist/ and all that its base needs.
sbom:
	$(PYTHON) -m venv $(VENV)-sbom
	$(VENV)-sbom/bin/python -m pip install --quiet --constraint constraints.txt dist/*.whl
	$(PYTHON) -m venv $(VENV)-tools
	$(VENV)-tools/bin/python -m pip install --quiet cyclonedx-bom==7.5.0
	mkdir -p sbom
	$(VENV)-tools/bin/cyclonedx-py environment --output-file sbom/fissura.cdx.json $(VENV)-sbom/bin/python

# The quick tests of the core with the oldest versions that pyproject.toml allows.
test-minimal:
	$(PYTHON) -m venv $(VENV)-tools
	$(VENV)-tools/bin/python -m pip install --quiet uv
	$(VENV)-tools/bin/uv venv --quiet --clear --python $(PYTHON) $(VENV)-minimal
	$(VENV)-tools/bin/uv pip install --quiet --python $(VENV)-minimal --resolution lowest-direct \
		--editable '.[bench,geo,study,train,xlsx]' 'pytest>=8' 'scikit-learn>=1.5' 'torchmetrics>=1.4' 'hypothesis>=6.100' 'beartype>=0.19' 'jaxtyping>=0.2.36'
	OMP_NUM_THREADS=1 FISSURA_UNCHECKED=1 $(VENV)-minimal/bin/python -m pytest -q -o filterwarnings= $(CORE)

# Format, and mend what the linter can.
fmt: $(VENV)/dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

# What the program needs, and then what its tests and checks need, in the versions we tested.
$(VENV)/run: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Fissura needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[train,study]'
	touch $@

$(VENV)/dev: $(VENV)/run
	$(PIP) --editable '.[dev]'
	touch $@
