# `make help` lists the targets. Packages are installed into .venv, runs are written to runs/, both in this folder. Outside
# it, compiled kernels, fetched texts and tokens are kept in the user's cache folder (~/.cache/tidegate on Linux, or
# $TIDEGATE_CACHE), which may be removed at any time; pip, matplotlib and pyright have caches of their own.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready
RUN    ?= runs/demo
GRID   ?= short

.PHONY: help install demo test check wheel bench chapter findings docs clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# constraints.txt pins the torch that the project is tested with; users of the wheel get a range.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Tidegate needs Python 3.11 or newer, $(PYTHON) is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(READY)  ## make .venv with Tidegate and its tools, and compile the kernels of the built-in cells
	-$(BIN)/tidegate kernels

demo: $(READY)  ## train on the built-in text for two minutes, evaluate, generate text, look inside
	@test ! -e $(RUN) || { echo "$(RUN) is there already: make demo RUN=runs/another, or remove it"; exit 1; }
	$(BIN)/tidegate train builtin --out $(RUN)
	$(BIN)/tidegate eval $(RUN)
	$(BIN)/tidegate sample $(RUN) --length 400
	$(BIN)/tidegate inspect $(RUN)
	@echo; echo "Call it yourself: source $(BIN)/activate, then tidegate train FILE (or $(BIN)/tidegate train FILE)."

test: check wheel $(READY)  ## all tests in two processes, after `make check` and `make wheel`
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(READY)  ## ruff, pyright, and the test of the layers of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest tests/test_layers.py

wheel: $(READY)  ## build the wheel, install it in an environment of its own, train a step there
	$(BIN)/python tests/wheel.py

bench: $(READY)  ## speed and memory against torch.nn, side by side (a few minutes; on an idle machine; GRID=medium or full)
	$(BIN)/python -m benchmarks --grid $(GRID)

chapter: $(READY)  ## train the textbook's RNN, GRU and LSTM and write docs/chapter.md (about a minute)
	$(BIN)/python docs/chapter.py --write

findings: $(READY)  ## the comparisons of docs/findings.md, in hours, and its tables (QUICK=1: minutes, only a test)
	$(BIN)/python docs/findings.py $(if $(QUICK),--quick,--write)

docs: $(READY)  ## build the documentation site (open site/html/index.html)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet -c docs/site -d site/doctrees . site/html
	@echo "Open site/html/index.html in a browser."

clean:  ## remove .venv, site/ and the caches in this folder (runs/ and the user's cache folder stay)
	rm -rf $(VENV) site .pytest_cache .ruff_cache
