.DEFAULT_GOAL := help
.PHONY: help setup kenlm-tools demo test check format

PYTHON := .venv/bin/python

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 18

setup: ## Make .venv with everything that the captioner needs
	@scripts/setup

kenlm-tools: setup ## Compile what builds language models (KenLM's lmplz)
	@scripts/kenlm-tools

demo: setup ## Caption the bundled recording as if it were spoken now
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

format: ## Format the code and sort its imports
	@scripts/setup --tests
	$(PYTHON) -m ruff check --select I --fix
	$(PYTHON) -m ruff format
