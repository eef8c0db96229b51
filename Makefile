.DEFAULT_GOAL := help
.PHONY: help setup live kenlm-tools demo test check arm64 format audit fuzz licences

PYTHON := .venv/bin/python

help: ## Show this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/make \1\t\2/' | expand -t 18

setup: ## Make .venv with everything that captions and training need
	@scripts/setup

live: ## Make .venv with what captions and the page need: less, for small computers
	@scripts/setup --live

kenlm-tools: setup ## Compile what builds language models (KenLM's lmplz)
	@scripts/kenlm-tools

demo: ## Caption the bundled recording as if it were spoken now
	@scripts/setup --live
	$(PYTHON) run_live.py --wav demo/librispeech.flac

test: ## Run all tests and checks
	@scripts/setup --tests
	$(PYTHON) -m pytest
	@$(MAKE) --no-print-directory check

check: ## Lint, check the format and check the types
	@scripts/setup --tests
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy

arm64: ## Try the captioner on arm64, a Jetson's processor, which QEMU imitates here
	@scripts/arm64

format: ## Format the code and sort its imports
	@scripts/setup --tests
	$(PYTHON) -m ruff check --select I --fix
	$(PYTHON) -m ruff format

audit: setup ## Ask the package index for known weaknesses of the locked packages
	$(PYTHON) -m pip install --quiet --constraint requirements.lock pip-audit
	$(PYTHON) -m pip_audit --strict --disable-pip --no-deps --requirement requirements.lock

fuzz: ## Fuzz a reader of files: make fuzz TARGET=bundle SECONDS=60; TARGET=list names them
	@scripts/setup --tests
	$(PYTHON) -m pip install --quiet --constraint requirements.lock atheris
	$(PYTHON) -m tests.fuzz.run $(or $(TARGET),list) --seconds $(or $(SECONDS),60)

licences: ## Write docs/licences.md anew, from what is installed
	@scripts/setup --tests
	$(PYTHON) scripts/licences.py
