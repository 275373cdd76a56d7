# The two commands a newcomer needs: `make demo` and `make test`. `make check` is what runs before a commit.
# Everything lives in .venv; nothing else on the machine is touched, except that a root user on Debian gets
# python3-venv by apt when it is missing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.setup-stamp

# Seconds for each target of `make fuzz`.
FUZZ_SECONDS ?= 30
# Times that `make soak` kills.
SOAK_KILLS ?= 200

.PHONY: setup demo test check format lint types imports bench soak fuzz prove clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh
	@touch $(STAMP)

demo: setup
	@$(BIN)/intaglio demo

test: setup
	@$(BIN)/python -m pytest -n auto

format: setup
	@$(BIN)/ruff format --check .

lint: setup
	@$(BIN)/ruff check .

types: setup
	@$(BIN)/mypy

imports: setup
	@$(BIN)/lint-imports --no-cache

check: format lint types imports test

bench: setup
	@$(BIN)/python -m benchmarks

# Kills a gateway under load at random points, again and again. INTAGLIO_SOAK_SEED repeats one run's points.
soak: setup
	@INTAGLIO_SOAK_KILLS=$(SOAK_KILLS) $(BIN)/python -m pytest -q tests/gateway/test_restart.py -k killed

# Coverage-guided fuzzing of every reader and of verify (docs/fuzzing.md); Linux only. FUZZ_TARGETS="quote policy"
# names some of the targets.
fuzz: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	@$(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# The ProVerif models of the protocol (docs/proofs.md), where `proverif` is on PATH or $PROVERIF names it; status 3 where not.
prove: setup
	@$(BIN)/python -m proofs.run

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist
