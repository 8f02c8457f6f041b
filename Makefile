# `make demo` and `make test` start from nothing: a virtual environment, pinned packages, then the job.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint types tests docs setup clean

demo: $(READY)  ## fit the embedded digits, compare, draw, report
	$(BIN)/python examples/demo.py --out demo

test: lint types tests  ## everything CI runs

lint: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(READY)
	$(BIN)/mypy

tests: $(READY)
	$(BIN)/pytest -n 2 -q
	CPVAE_FAST_PRODUCTS=0 $(BIN)/pytest -q src/cpvae/nn tests/test_products.py tests/test_presets.py

docs: $(READY)  ## the site, in site/; open site/index.html
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

setup: $(READY)

# torch first and by itself: with it in place no other package can pull another build.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf .venv demo site
