# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv on their own.
# `make playroom CORPORA=folder` makes the model that comes with the package; folder holds playroom/, utterances/, cries/.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CORPORA ?= ../corpora
PLAYROOM ?= playroom-nano
DEVICE ?= cpu

.PHONY: demo test playroom lint format install clean

demo: $(INSTALLED)
	$(BIN)/babyhubert demo -o demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

# Simulated scenes, a pre-trained encoder, and voice type on it in three parts: about five hours on one core, two of them
# spared by `make playroom DEVICE=cuda`. Every step continues where it was stopped; on one machine the same command gives
# the same weights.
playroom: BABYHUBERT = cd $(PLAYROOM) && $(abspath $(BIN))/babyhubert
playroom: SPEAKERS = $(abspath configs)/playroom-dev-speakers.csv
playroom: HELD_OUT = $(abspath configs)/playroom-validation-speakers.csv
playroom: SCENES = --minutes 15 --format flac --utterances utterances/utterances.csv
playroom: TRAINING = $(SCENES) --cries cries/audio --without-speakers $(SPEAKERS) --without-speakers $(HELD_OUT) \
	--voice-change 0.06 --key-voice-change 0.3
playroom: $(INSTALLED)
	mkdir -p $(PLAYROOM)
	ln -sfn $(abspath $(CORPORA))/playroom $(abspath $(CORPORA))/utterances $(abspath $(CORPORA))/cries $(PLAYROOM)/
	for k in 00 02 04 06 08 10; do ($(BABYHUBERT) simulate -o simulated/$$k --seed 1$$k --prefix s$$k \
		--recordings 12 --wearer-share 0.3 $(TRAINING)) || exit 1; done
	for k in 01 03 05 07 09 11; do ($(BABYHUBERT) simulate -o simulated/$$k --seed 1$$k --prefix s$$k \
		--recordings 12 --wearer-share 0.4 $(TRAINING)) || exit 1; done
	$(BABYHUBERT) simulate -o simulated/more --seed 3 --prefix more --recordings 64 --wearer-share 0.4 $(TRAINING)
	$(BABYHUBERT) simulate -o simulated/wearer --seed 5 --prefix wearer --recordings 64 --wearer-share 0.9 $(TRAINING)
	$(BABYHUBERT) simulate -o simulated/others --seed 7 --prefix others --recordings 64 --wearer-share 0.9 $(TRAINING)
	$(BABYHUBERT) simulate -o simulated/again --seed 8 --prefix again --recordings 64 --wearer-share 0.4 $(TRAINING)
	$(BABYHUBERT) simulate -o simulated/validation --seed 2 --prefix held --recordings 8 $(SCENES) \
		--only-speakers $(HELD_OUT)
	$(BABYHUBERT) simulate -o simulated/anyone --seed 6 --prefix anyone --recordings 8 --wearer-share 1.0 $(SCENES) \
		--only-speakers $(HELD_OUT)
	$(BABYHUBERT) recipe $(abspath configs)/babyhubert-nano.toml -o encoder \
		--set 'audio.paths=["utterances/audio", "cries/audio", "playroom/train/audio"]'
	$(BABYHUBERT) finetune voice-type $(abspath configs)/playroom-voice-type.toml -o voice-type \
		--set model.encoder=encoder/model --set machine.device=$(DEVICE)
	$(BABYHUBERT) finetune voice-type $(abspath configs)/playroom-wearer.toml -o wearer
	$(BABYHUBERT) finetune voice-type $(abspath configs)/playroom-longer.toml -o longer
	$(BABYHUBERT) convert longer playroom-nano --half --force

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
