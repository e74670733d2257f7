# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv on their own.
# `make playroom CORPORA=folder`, `make playroom-real` and `make playroom-mini` make the models that come with the package;
# folder holds playroom/, utterances/, cries/, and real/ for playroom-real.
# Any Python from 3.11 on; where there is none, uv (if it is installed) brings one.
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	if "$$each" -c '$(IS_NEW_ENOUGH)' 2>/dev/null; then command -v "$$each"; break; fi; done)
UV := $(shell command -v uv 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CORPORA ?= ../corpora
PLAYROOM ?= playroom-nano
DEVICE ?= cpu
JOBS ?= 2

.PHONY: demo test docs playroom playroom-real playroom-mini lint format install clean

demo: $(INSTALLED)
	$(BIN)/babyhubert demo -o demo

test: $(INSTALLED)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

# Simulated scenes (a quarter of an hour on one core), a pre-trained encoder (an hour), voice type on it (some twenty hours,
# or minutes with DEVICE=cuda WORKERS=7 PRECISION=auto), melodies (twenty minutes), and a model with three heads (four
# hours). PRECISION=bf16 is for CPUs that have it. Scenes are made anew, all else continues where it was stopped; on the CPUs
# of one machine the same command gives the same weights. The encoder that the shipped weights began with had one longer
# iteration on a GPU instead (the card of playroom-nano says more).
PRECISION ?= bf16
WORKERS ?= 0
playroom: BABYHUBERT = cd $(PLAYROOM) && $(abspath $(BIN))/babyhubert
playroom: SPEAKERS = $(abspath configs)/playroom-
playroom: SCENES = --minutes 15 --format flac --utterances utterances/utterances.csv
playroom: TRAINING = $(SCENES) --recordings 24 --cries cries/audio --voice-change 0.06 --key-voice-change 0.3 \
	--wearer-share 0.35 $(foreach who,dev validation doubtful,--without-speakers $(SPEAKERS)$(who)-speakers.csv)
playroom: VALIDATION = $(SCENES) --recordings 8 --only-speakers $(SPEAKERS)validation-speakers.csv
playroom: $(INSTALLED)
	mkdir -p $(PLAYROOM)
	ln -sfn $(abspath $(CORPORA))/playroom $(abspath $(CORPORA))/utterances $(abspath $(CORPORA))/cries \
		$(SPEAKERS)doubtful-speakers.csv $(SPEAKERS)dev-speakers.csv $(PLAYROOM)/
	for k in 00 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15; do \
		($(BABYHUBERT) simulate -o simulated/$$k --seed 3$$k --prefix s$$k $(TRAINING)) || exit 1; done
	$(BABYHUBERT) simulate -o simulated/validation --seed 2 --prefix held $(VALIDATION)
	$(BABYHUBERT) simulate -o simulated/anyone --seed 6 --prefix any --wearer-share 1.0 $(VALIDATION)
	$(BABYHUBERT) recipe $(abspath configs)/babyhubert-nano.toml -o encoder \
		--set 'audio.paths=["utterances/audio", "cries/audio", "playroom/train/audio"]'
	$(BABYHUBERT) finetune voice-type $(abspath configs)/playroom-voice-type.toml -o voice-type \
		--set model.encoder=encoder/model --set machine.device=$(DEVICE) --set machine.workers=$(WORKERS) \
		--set machine.precision=$(PRECISION)
	$(BABYHUBERT) finetune voice-type $(abspath configs)/playroom-melodies.toml -o melodies \
		--set machine.precision=$(PRECISION)
	$(BABYHUBERT) convert melodies playroom-nano --half --force
	$(BABYHUBERT) finetune tasks $(abspath configs)/playroom-tasks.toml -o tasks --set model.encoder=voice-type \
		--set machine.precision=$(PRECISION)
	$(BABYHUBERT) convert tasks playroom-tasks --half --force

# playroom-real, the default for voice types: the voice-type model that `make playroom` leaves (melodies/) goes on with people
# anywhere and real sounds (real/: sounds/<kind>/<fold>-*.opus, folds 1 to 3 to learn from, fold 4 to choose thresholds on;
# ami/: meetings, for thresholds alone). Less than an hour on one core, or some minutes with DEVICE=cuda and the rest of
# the line above; scenes take ten minutes of it, scores and thresholds five.
playroom-real: BABYHUBERT = cd $(PLAYROOM) && $(abspath $(BIN))/babyhubert
playroom-real: SPEAKERS = $(abspath configs)/playroom-
playroom-real: SCENES = --minutes 15 --format flac --utterances utterances/utterances.csv --backgrounds sounds/no-voice \
	--cries sounds/infants --cries cries/audio \
	$(foreach who,dev validation doubtful,--without-speakers $(SPEAKERS)$(who)-speakers.csv)
playroom-real: ANYWHERE = $(SCENES) --levels independent --key-voice-change 0.15 --whisper-share 0.04
playroom-real: $(INSTALLED)
	ln -sfn $(abspath $(CORPORA))/real $(PLAYROOM)/real
	cd $(PLAYROOM) && for clip in real/sounds/*/*.opus; do \
		kind=$$(basename $$(dirname $$clip)); to=no-voice/$$kind; \
		case $$clip in */baby-cry/4-*) continue;; */4-*) to=held-out/$$kind;; */baby-cry/*) to=infants;; esac; \
		mkdir -p sounds/$$to && ln -sf $(abspath $(CORPORA))/$$clip sounds/$$to/ || exit 1; done
	$(BABYHUBERT) simulate -o simulated/anywhere --seed 501 --prefix anywhere --recordings 24 --monologue-share 0.25 \
		--speech-share 0.45 --voice-change 0.1 --resonance-change 0.07 $(ANYWHERE)
	$(BABYHUBERT) simulate -o simulated/meetings --seed 700 --prefix meeting --recordings 12 --monologue-share 0.75 \
		--speech-share 0.55 --voice-change 0.12 --resonance-change 0.1 $(ANYWHERE)
	$(BABYHUBERT) simulate -o simulated/typical --seed 300 --prefix typical --recordings 16 --voice-change 0.06 \
		--key-voice-change 0.3 --resonance-change 0.05 $(SCENES)
	$(BABYHUBERT) finetune voice-type $(abspath configs)/playroom-real.toml -o real --set machine.device=$(DEVICE) \
		--set machine.workers=$(WORKERS) --set machine.precision=$(PRECISION)
	$(BABYHUBERT) segment simulated/validation/audio real/ami/audio sounds/held-out -o real-scores --model real --overlap 0 \
		--save-probs
	cd $(PLAYROOM) && mkdir -p real-reference && cp simulated/validation/rttm/*.rttm real/ami/rttm/*.rttm real-reference/ && \
		for clip in sounds/held-out/*/*.opus; do : > real-reference/$$(basename $$clip .opus).rttm; done
	$(BABYHUBERT) tune voice-type --reference real-reference --scores real-scores -o real-tuned --bootstrap 0
	$(BABYHUBERT) convert real playroom-real --half --thresholds real-tuned --force

# playroom-mini, from the scenes that `make playroom` leaves: some three days on one core, or ten minutes with DEVICE=cuda and
# the rest of the line above, and then an hour on one core for its last part and its thresholds.
playroom-mini: BABYHUBERT = cd $(PLAYROOM) && $(abspath $(BIN))/babyhubert
playroom-mini: TUNED_ON = playroom/train simulated/validation simulated/anyone
playroom-mini: $(INSTALLED)
	$(BABYHUBERT) finetune voice-type $(abspath configs)/playroom-mini.toml -o mini \
		--set machine.device=$(DEVICE) --set machine.workers=$(WORKERS) --set machine.precision=$(PRECISION)
	$(BABYHUBERT) finetune voice-type $(abspath configs)/playroom-mini-last.toml -o mini-last
	$(BABYHUBERT) segment $(TUNED_ON:=/audio) -o mini-scores --model mini-last --overlap 0 --save-probs
	cd $(PLAYROOM) && mkdir -p mini-reference && cp $(TUNED_ON:=/rttm/*.rttm) mini-reference/
	$(BABYHUBERT) tune voice-type --reference mini-reference --scores mini-scores -o mini-tuned --bootstrap 0
	$(BABYHUBERT) convert mini-last playroom-mini --half --thresholds mini-tuned --force

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
