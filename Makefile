# Needs Python >= 3.11 and make. Uses uv for installing when it is on PATH, else pip.

PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
BENCH := .venv-bench
BIN := $(VENV)/bin
LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
PYTEST := -m pytest

.PHONY: help demo test pytest test-oldest lint types generate generate-check bench soak format lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

$(VENV)/.stamp: requirements/test.txt pyproject.toml tools/make_venv.py
	@$(PYTHON) tools/make_venv.py $(VENV) requirements/test.txt

$(OLDEST)/.stamp: requirements/test-oldest.txt pyproject.toml tools/make_venv.py
	@$(PYTHON) tools/make_venv.py $(OLDEST) requirements/test-oldest.txt

$(BENCH)/.stamp: requirements/bench.txt pyproject.toml tools/make_venv.py
	@$(PYTHON) tools/make_venv.py $(BENCH) requirements/bench.txt

demo: $(VENV)/.stamp ## play a whole voice call and show it
	@$(BIN)/xai-realtime demo

test: ## everything that must pass before a commit; pytest's count comes last
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory generate-check
	@$(MAKE) --no-print-directory test-oldest
	@$(MAKE) --no-print-directory pytest

pytest: $(VENV)/.stamp ## the tests, with branch coverage
	@$(BIN)/python $(PYTEST) -n 2 --dist worksteal --cov --cov-report=term --cov-fail-under=95

test-oldest: $(OLDEST)/.stamp ## the tests that touch a dependency, on the oldest versions allowed
	@$(OLDEST)/bin/python $(PYTEST) -n 2 -q -rfE \
		$(wildcard $(addprefix tests/,client codec plugins realtime spec transport virtual_time cassette/test_replay*))

lint: $(VENV)/.stamp ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(VENV)/.stamp ## ruff: repair what can be repaired
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(VENV)/.stamp ## mypy --strict
	@$(BIN)/mypy

generate: $(VENV)/.stamp ## print the event classes from spec/
	@$(BIN)/python -m xai_realtime.generate

generate-check: $(VENV)/.stamp ## fail when the event classes and spec/ disagree
	@$(BIN)/python -m xai_realtime.generate --check

bench: $(BENCH)/.stamp ## speed beside the untyped baselines
	@$(BENCH)/bin/python -m benchmarks

soak: $(VENV)/.stamp ## the long tests, marked slow
	@$(BIN)/python $(PYTEST) -m slow

lock: ## resolve requirements/ anew (needs uv)
	@$(LOCK) --extra cli --extra codegen --group build --group test pyproject.toml -o requirements/test.txt
	@$(LOCK) --extra cli --extra codegen --group build --group test -c requirements/oldest.in pyproject.toml \
		-o requirements/test-oldest.txt
	@$(LOCK) --group build --group bench pyproject.toml -o requirements/bench.txt

clean: ## remove environments and caches
	@rm -rf $(VENV) $(OLDEST) $(BENCH) build dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
