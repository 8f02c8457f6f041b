# `make demo` and `make test` start from nothing: a virtual environment, pinned packages, then the job.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
unexport PYTHONDONTWRITEBYTECODE  # the tests start processes, which read what others have compiled

.PHONY: demo test lint types tests plain docs browser tutorials dist release-check setup clean

demo: $(READY)  ## fit the embedded digits, compare, draw, report
	$(BIN)/python examples/demo.py --out demo

test: lint dist  ## everything CI runs
	$(MAKE) --jobs 2 types tests docs plain

lint: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(READY)
	$(BIN)/mypy

tests: $(READY)
	$(BIN)/pytest -n 2 --dist worksteal -q

plain: $(READY)  ## tests of networks, with PyTorch's own products
	CPVAE_FAST_PRODUCTS=0 $(BIN)/pytest -q src/cpvae/nn tests/test_products.py tests/test_presets.py

docs: $(READY)  ## the site, in site/, its links checked; open site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

browser: $(READY)  ## tests of the page of `cpvae explore` in a Chromium: that of the machine, of CPVAE_CHROMIUM, or Playwright's
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[browser]'
	$(BIN)/pytest -q tests/test_explore_browser.py

tutorials: $(READY)  ## run the pages that show what code prints, and put it there; pages without their data are named
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[pages]'
	$(BIN)/python benchmarks/tutorials.py docs/describe.md docs/start.md docs/tutorials/*.md

dist: $(READY)  ## the wheel and the archive of sources, in dist/, checked
	rm -rf dist build
	$(BIN)/python -m build --no-isolation --outdir dist . >/dev/null
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

# The core alone first, then the command line. torch is pinned, so that the archive of the machine serves.
release-check: dist  ## install the wheel into a clean environment and use it, first the core alone
	rm -rf dist/clean
	$(PYTHON) -m venv dist/clean
	dist/clean/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch dist/*.whl
	cd dist && clean/bin/python ../examples/smoke.py
	dist/clean/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt "$$(ls dist/*.whl)[cli]"
	cd dist && clean/bin/cpvae --help >/dev/null && clean/bin/cpvae fit digits --epochs 1 --restarts 1 --out clean/run
	cd dist && clean/bin/cpvae sample clean/run -n 9 --out clean/new.png && clean/bin/cpvae report clean/run

setup: $(READY)

# torch first and by itself: with it in place no other package can pull another build. pip would compile on one core.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m compileall -q -j 0 -x '/tests?/' .venv/lib >/dev/null 2>&1 || true  # some files are of other Pythons
	touch $(READY)

clean:
	rm -rf .venv demo site dist build
