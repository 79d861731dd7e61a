# make app      opens the explorer on the demo dataset; make setup only installs what it needs
# make test     runs everything that must pass, on the same examples every time, and installs what that needs besides
# make fuzz     tries the properties on fresh examples for MINUTES=5
# make torture  damages files, kills writers and fills disks for MINUTES=5 (docs/torture.md)
# make wheel    installs what users install into an empty environment of each Python that is here, and tries it
# make lab      opens JupyterLab on the notebooks, and installs it
# make bench    compares with plain formulas; bench-large [FOLDER=...] measures what does not fit in memory
# make bench-ui [BEFORE=...]  times the explorer in a browser, beside an older checkout if one is given
# make bench-served [BEFORE=...]  what 40 visitors feel of one server, in the same way
# make docs     builds the pages of docs/ into build/docs, runs their code, and fails on any warning, on a link
#               that leads nowhere, and on a page that would load anything from elsewhere
# make picture  plays the explorer in a browser and makes docs/explorer.webp of it, the picture of README.md
# make licences lists the licence of everything that is installed
# make pins     writes requirements/*.txt anew: the newest versions that pyproject.toml allows with UPGRADE=--upgrade
# TORCH_INDEX=… takes torch from another package index (see README.md, "Install")

PYTHON ?= python3
PORT ?= 5006
MINUTES ?= 5
VENV := .venv
BIN := $(VENV)/bin
# Everything by its hash, but torch, whose builds differ from index to index.
INSTALL = $(BIN)/pip install --no-deps --require-hashes --requirement requirements/$(1).txt
TORCH = $(BIN)/pip install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) --requirement requirements/torch.txt
# This package, with what one system alone needs besides.
ITSELF = $(BIN)/pip install --no-build-isolation --editable
COMPILE := $(VENV)/.pins/bin/pip-compile --quiet --generate-hashes --strip-extras --annotation-style line $(UPGRADE) \
	--no-header --no-emit-options --build-deps-for editable --unsafe-package torch --unsafe-package torchvision \
	--constraint requirements/torch.txt
APP := $(VENV)/.app
LAB := $(VENV)/.lab
TEST := $(VENV)/.test

.PHONY: app test fuzz torture wheel setup lab bench bench-large bench-ui bench-served demo-data docs picture licences pins

app: $(APP)
	@$(BIN)/predspace serve --port $(PORT)

test: $(TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) --jobs=2 docs wheel
	$(BIN)/pytest -m "not browser" --ignore tests/browser --numprocesses auto --dist worksteal
	$(BIN)/pytest tests/browser --numprocesses 2 --dist loadfile --no-loadscope-reorder

fuzz: $(TEST)
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

wheel: $(TEST)
	$(BIN)/python -m tests.wheel

torture: $(TEST)
	$(BIN)/python -m tests.torture --minutes $(MINUTES)

setup: $(APP)

lab: $(LAB)
	$(BIN)/jupyter lab notebooks

bench: $(LAB)
	$(BIN)/python benchmarks/bench.py

bench-large: $(LAB)
	$(BIN)/python benchmarks/bench_large.py $(FOLDER)

bench-ui: $(TEST)
	$(BIN)/python benchmarks/bench_ui.py $(if $(BEFORE),--before $(BEFORE))

bench-served: $(TEST)
	$(BIN)/python -m benchmarks.bench_served $(if $(BEFORE),--before $(BEFORE))

demo-data: $(LAB)
	$(BIN)/predspace record digits --out data/digits.zarr.zip --overwrite
	$(BIN)/predspace record sweep --out data/sweep.zarr.zip --overwrite

docs: $(TEST)
	rm -rf build/docs
	$(BIN)/sphinx-build --jobs auto --fail-on-warning --keep-going --quiet docs build/docs

picture: $(TEST)
	$(BIN)/python docs/moving_picture.py

licences: $(TEST)
	$(BIN)/pip-licenses --with-urls --order license --format markdown

pins:
	test -x $(VENV)/.pins/bin/pip-compile || \
		($(PYTHON) -m venv $(VENV)/.pins && $(VENV)/.pins/bin/pip install pip-tools==7.6.2)
	$(COMPILE) --all-extras --output-file requirements/test.txt pyproject.toml
	$(COMPILE) --constraint requirements/test.txt --output-file requirements/app.txt pyproject.toml
	$(COMPILE) --constraint requirements/test.txt --extra lab --extra train --extra cluster \
		--output-file requirements/lab.txt pyproject.toml

# A stamp in .venv says what is installed; it is made again when a pin or the package's own metadata changes.
$(APP): $(wildcard requirements/*.txt) pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "predspace_widgets needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(call INSTALL,app)
	$(ITSELF) .
	touch $@

$(LAB): $(APP)
	$(call INSTALL,lab)
	$(TORCH)
	$(ITSELF) '.[lab,train,cluster]'
	touch $@

$(TEST): $(APP)
	$(call INSTALL,test)
	$(TORCH)
	$(ITSELF) '.[all,docs,oracles,dev]'
	touch $@
