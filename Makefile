# Needs Python >= 3.11 and make. Uses uv for installing when it is on PATH, else pip.

PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
BENCH := .venv-bench
THIRDPARTY := .venv-thirdparty
CLIENTS := openai pydantic-ai livekit pipecat videosdk
PEER := .venv-peer
PEERS := openai livekit pipecat videosdk
BIN := $(VENV)/bin
LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
PYTEST := -m pytest

.PHONY: help demo test pytest coverage test-oldest test-thirdparty lint types generate generate-check record bench bench-peers soak format lock clean
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

pytest: $(VENV)/.stamp ## the tests
	@$(BIN)/python $(PYTEST) -n 3 --dist worksteal

coverage: $(VENV)/.stamp ## the same tests with branch coverage, which takes twice as long; fails under 95 %
	@$(BIN)/python $(PYTEST) -n 3 --dist worksteal --cov --cov-report=term --cov-fail-under=95

test-oldest: $(OLDEST)/.stamp ## the tests that touch a dependency, on the oldest versions allowed
	@$(OLDEST)/bin/python $(PYTEST) -n 3 -q -rfE --deselect tests/cassette/test_replay_properties.py \
		$(wildcard $(addprefix tests/,client codec http plugins realtime spec transport virtual_time cassette/test_replay*))

$(THIRDPARTY)-%/.stamp: requirements/thirdparty-%.txt pyproject.toml tools/make_venv.py
	@$(PYTHON) tools/make_venv.py $(@D) $<

test-thirdparty: $(CLIENTS:%=$(THIRDPARTY)-%/.stamp) ## unmodified clients of others against the emulator
	@$(THIRDPARTY)-openai/bin/python $(PYTEST) -q tests/thirdparty/openai_calls.py
	@$(THIRDPARTY)-pydantic-ai/bin/python $(PYTEST) -q tests/thirdparty/pydantic_ai_calls.py
	@for client in livekit pipecat videosdk; do \
		$(THIRDPARTY)-$$client/bin/python $(PYTEST) -q tests/thirdparty/$${client}_speech.py || exit 1; done

lint: $(VENV)/.stamp ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(VENV)/.stamp ## ruff: repair what can be repaired
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(VENV)/.stamp ## mypy --strict
	@$(BIN)/mypy

generate: $(VENV)/.stamp ## print the event classes from spec/, and the diagrams of the state tables
	@$(BIN)/python -m xai_realtime.generate
	@$(BIN)/python -m tools.state_tables

record: $(VENV)/.stamp ## record the project's own tapes from the emulator anew
	@$(BIN)/python -m tools.record_tapes

generate-check: $(VENV)/.stamp ## fail when the event classes and spec/ disagree
	@$(BIN)/python -m xai_realtime.generate --check

bench: $(BENCH)/.stamp ## speed beside the untyped baselines and other clients
	@$(BENCH)/bin/python -m benchmarks
	@echo
	@$(BENCH)/bin/python -m benchmarks.sessions
	@echo
	@$(BENCH)/bin/python -m benchmarks.speech
	@echo
	@$(BENCH)/bin/python -m benchmarks.chat
	@echo
	@$(BENCH)/bin/python -m benchmarks.upload
	@echo
	@$(BENCH)/bin/python -m benchmarks.calls
	@echo
	@$(MAKE) --no-print-directory bench-peers

$(PEER)-%/.stamp: requirements/peer-%.txt tools/make_venv.py
	@$(PYTHON) tools/make_venv.py --without-project $(@D) $<

bench-peers: $(BENCH)/.stamp ## speed beside other clients, an environment each; one that cannot be installed is named
	@-$(MAKE) --no-print-directory --silent --keep-going $(PEERS:%=$(PEER)-%/.stamp)
	@$(BENCH)/bin/python -m benchmarks.peers

soak: $(VENV)/.stamp ## the long tests, marked slow
	@$(BIN)/python $(PYTEST) -n 2 -m slow -o faulthandler_timeout=3600

lock: ## resolve requirements/ anew (needs uv)
	@$(LOCK) --extra audio --extra cli --extra codegen --extra emulator --extra httpx --extra opus --group build --group test pyproject.toml -o requirements/test.txt
	@$(LOCK) --extra audio --extra cli --extra codegen --extra emulator --extra httpx --extra opus --group build --group test -c requirements/oldest.in pyproject.toml \
		-o requirements/test-oldest.txt
	@$(LOCK) --extra cli --extra emulator --group build --group bench pyproject.toml -o requirements/bench.txt
	@for client in $(CLIENTS); do \
		$(LOCK) --extra emulator --group build pyproject.toml requirements/thirdparty-$$client.in \
			-o requirements/thirdparty-$$client.txt || exit 1; done
	@for peer in $(PEERS); do $(LOCK) requirements/peer-$$peer.in -o requirements/peer-$$peer.txt || exit 1; done

clean: ## remove environments and caches
	@rm -rf $(VENV) $(OLDEST) $(BENCH) $(THIRDPARTY)-* $(PEER)-* build dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
