# `make help` lists the targets. Everything happens in .venv; nothing outside this folder is touched.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready
RUN    ?= runs/demo
GRID   ?= short

.PHONY: help install demo test check bench docs clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# constraints.txt pins the torch that the project is tested with; users of the wheel get a range.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Tidegate needs Python 3.11 or newer, $(PYTHON) is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(READY)  ## make .venv with Tidegate and its tools

demo: $(READY)  ## train on the built-in text for two minutes, evaluate, write
	@test ! -e $(RUN) || { echo "$(RUN) is there already: make demo RUN=runs/another, or remove it"; exit 1; }
	$(BIN)/tidegate train builtin --out $(RUN)
	$(BIN)/tidegate eval $(RUN)
	$(BIN)/tidegate sample $(RUN) --length 400

test: check $(READY)  ## all tests, after `make check`
	$(BIN)/python -m pytest

check: $(READY)  ## ruff, pyright, and the test that imports only go down
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest tests/test_layers.py

bench: $(READY)  ## speed and memory against torch.nn, side by side (a few minutes; keep the machine quiet; GRID=medium or full)
	$(BIN)/python -m benchmarks --grid $(GRID)

clean:  ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache
