# make app      opens the explorer on the demo dataset; make setup only installs what it needs
# make test     runs everything that must pass, on the same examples every time, and installs what that needs besides
# make fuzz     tries the properties on fresh examples for MINUTES=5
# make lab      opens JupyterLab on the notebooks, and installs it
# make bench    compares with plain formulas; bench-large [FOLDER=...] measures what does not fit in memory
# make bench-ui [BEFORE=...]  times the explorer in a browser, beside an older checkout if one is given
# TORCH_INDEX=… takes torch from another package index (see README.md, "Install")

PYTHON ?= python3
PORT ?= 5006
MINUTES ?= 5
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --constraint requirements.txt --editable
APP := $(VENV)/.app
LAB := $(VENV)/.lab
TEST := $(VENV)/.test

.PHONY: app test fuzz setup lab bench bench-large bench-ui demo-data

app: $(APP)
	@$(BIN)/predspace serve --port $(PORT)

test: $(TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not browser" --numprocesses auto --dist worksteal
	$(BIN)/pytest -m browser

fuzz: $(TEST)
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

setup: $(APP)

lab: $(LAB)
	$(BIN)/jupyter lab notebooks

bench: $(APP)
	$(BIN)/python benchmarks/bench.py

bench-large: $(APP)
	$(BIN)/python benchmarks/bench_large.py $(FOLDER)

bench-ui: $(TEST)
	$(BIN)/python benchmarks/bench_ui.py $(if $(BEFORE),--before $(BEFORE))

demo-data: $(APP)
	$(BIN)/predspace record digits --out data/digits.zarr.zip --overwrite

# A stamp in .venv says what is installed; it is made again when a pin or the package's own metadata changes.
$(APP): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "predspace_widgets needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/pip install --index-url $(TORCH_INDEX) $(shell grep -E '^torch(vision)?==' requirements.txt))
	$(INSTALL) .
	touch $@

$(LAB): $(APP)
	$(INSTALL) '.[notebook]'
	touch $@

$(TEST): $(APP)
	$(INSTALL) '.[notebook,lightning,huggingface,import,dev]'
	touch $@
