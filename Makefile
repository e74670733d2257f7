# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv on their own.
# `make playroom CORPORA=folder` makes the model that comes with the package.
# Any Python from 3.11 on; where there is none, uv (if it is installed) brings one.
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	if "$$each" -c '$(IS_NEW_ENOUGH)' 2>/dev/null; then command -v "$$each"; break; fi; done)
UV := $(shell command -v uv 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CORPORA ?= ../corpora
PLAYROOM ?= out/playroom
JOBS ?= 2

.PHONY: demo test docs playroom lint format install clean

demo: $(INSTALLED)
	$(BIN)/babyhubert demo -o demo

test: $(INSTALLED)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

# The model that comes with the package: configs/playroom.sh says from what, how, and how long it takes.
# On a GPU: make playroom CORPORA=folder MACHINE='--set machine.device=cuda --set machine.workers=7'
playroom: $(INSTALLED)
	BABYHUBERT=$(abspath $(BIN))/babyhubert PYTHON=$(abspath $(BIN))/python configs/playroom.sh $(CORPORA) $(PLAYROOM) $(MACHINE)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet -c constraints.txt --group docs
	$(BIN)/mkdocs build

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
ifneq ($(PYTHON),)
	$(PYTHON) -m venv $(VENV)
else ifneq ($(UV),)
	$(UV) venv --quiet --seed --python 3.11 $(VENV)
else
	@echo "No Python 3.11 or later was found. Install one from https://www.python.org (or uv, which brings its own)," >&2
	@echo "or say where it is: make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3" >&2
	@exit 1
endif
	$(BIN)/python -m pip install --quiet "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt torch numpy
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable . --group dev
	touch $@

clean:
	rm -rf $(VENV) demo
