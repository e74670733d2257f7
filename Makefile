# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv on their own.
# `make playroom CORPORA=folder` makes the model that comes with the package; folder holds playroom/, utterances/, cries/.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CORPORA ?= ../corpora
PLAYROOM ?= playroom-nano

.PHONY: demo test playroom lint format install clean

demo: $(INSTALLED)
	$(BIN)/babyhubert demo -o demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

# Simulated scenes, a pre-trained encoder, and voice type on it: about two hours on one core.
# Every step continues where it was stopped; on one machine the same command gives the same weights.
playroom: BABYHUBERT = cd $(PLAYROOM) && $(abspath $(BIN))/babyhubert
playroom: SPEAKERS = $(abspath configs)/playroom-dev-speakers.csv
playroom: HELD_OUT = $(abspath configs)/playroom-validation-speakers.csv
playroom: TRAINING = --minutes 15 --recordings 64 --format flac --cries cries/audio \
	--utterances utterances/utterances.csv --without-speakers $(SPEAKERS) --without-speakers $(HELD_OUT) \
	--voice-change 0.06 --key-voice-change 0.3
playroom: $(INSTALLED)
	mkdir -p $(PLAYROOM)
	ln -sfn $(abspath $(CORPORA))/playroom $(abspath $(CORPORA))/utterances $(abspath $(CORPORA))/cries $(PLAYROOM)/
	$(BABYHUBERT) simulate -o simulated/train --seed 1 --wearer-share 0.3 $(TRAINING)
	$(BABYHUBERT) simulate -o simulated/more --seed 3 --prefix more --wearer-share 0.4 $(TRAINING)
	$(BABYHUBERT) simulate -o simulated/validation --minutes 15 --recordings 8 --seed 2 --format flac --prefix held \
		--utterances utterances/utterances.csv --only-speakers $(HELD_OUT)
	$(BABYHUBERT) recipe $(abspath configs)/babyhubert-nano.toml -o encoder \
		--set 'audio.paths=["utterances/audio", "cries/audio", "playroom/train/audio"]'
	$(BABYHUBERT) finetune voice-type $(abspath configs)/playroom-voice-type.toml -o voice-type \
		--set model.encoder=encoder/model
	$(BABYHUBERT) convert voice-type playroom-nano --half --force

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt torch numpy
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable . --group dev
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps silero-vad  # it asks for torchaudio, unused
	touch $@

clean:
	rm -rf $(VENV) demo
