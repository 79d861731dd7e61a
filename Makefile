# make app      opens the explorer on the demo dataset
# make test     runs everything that must pass, on the same examples every time
# make fuzz     tries the properties on fresh examples for MINUTES=5
# make bench    compares with plain formulas; bench-large [FOLDER=...] measures what does not fit in memory
# TORCH_INDEX=… takes torch from another package index (see README.md, "Install")

PYTHON ?= python3
PORT ?= 5006
MINUTES ?= 5
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: app test fuzz setup lab bench bench-large demo-data

app: $(READY)
	@$(BIN)/predspace serve --port $(PORT)

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not browser" --numprocesses auto
	$(BIN)/pytest -m browser

fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

setup: $(READY)

lab: $(READY)
	$(BIN)/jupyter lab notebooks

bench: $(READY)
	$(BIN)/python benchmarks/bench.py

bench-large: $(READY)
	$(BIN)/python benchmarks/bench_large.py $(FOLDER)

demo-data: $(READY)
	$(BIN)/predspace record digits --out data/digits.zarr.zip --overwrite

# Made again when a pin or the package's own metadata changes.
$(READY): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "predspace_widgets needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/pip install --index-url $(TORCH_INDEX) $(shell grep -E '^torch(vision)?==' requirements.txt))
	$(BIN)/pip install --requirement requirements.txt
	$(BIN)/pip install --no-deps --editable .
	touch $@
