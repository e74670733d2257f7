"""The options of every command and their defaults are a contract: they are compared with a list kept here.

Who adds, renames or removes an option, or changes a default, changes the list with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from babyhubert.cli.app import app

CONTRACT = """
segment: audio...! -o,--output! --model --task --thresholds=f1 --speed=exact --window --overlap --blend
    --skip-quiet --min-on=0.1 --min-off=0.1 --simultaneous --channel=mean --device=auto --batch-size
    --save-probs=False --calibration --confidence/--no-confidence --confidence-from --keep-raw=False --force=False
    --workers --scheduler --slurm --shard --dry-run=False
analyze: audio...! -o,--output! --model --voice-type --addressee --phonemes --thresholds=f1 --beam=0
    --speed=exact --channel=mean --device=auto --batch-size --report/--no-report=True --force=False --workers
    --scheduler --slurm --shard --dry-run=False
addressee: audio...! -o,--output! --segments --model --voice-type --published=False --pooling
    --speed=exact --window --overlap --channel=mean --device=auto --batch-size --force=False --workers --scheduler
    --slurm --shard --dry-run=False
classify: audio...! -o,--output! --segments --model --task --voice-type --speed=exact --window
    --overlap --channel=mean --device=auto --batch-size --force=False --workers --scheduler --slurm --shard
    --dry-run=False
phonemes: audio...! -o,--output! --segments --model --task --voice-type --beam=0
    --syllables/--no-syllables --published=False --speed=exact --window --overlap --channel=mean --device=auto
    --batch-size --force=False --workers --scheduler --slurm --shard --dry-run=False
embed: audio...! -o,--output! --model --layers --segments --pool=mean --dtype=float32 --window=20.0
    --overlap=0.2 --channel=mean --device=auto --batch-size --speed=exact --force=False --workers --scheduler
    --slurm --shard --dry-run=False
pretrain: config! -o,--output! --set...
recipe: config! -o,--output --set... --plan=False --hours... --accelerators=1 --pace
status: output! --json=False
merge: output! --unfinished=False
convert: source! destination! --to=transformers --half=False --thresholds --simultaneous --confidence
    --allow-loss=False --force=False
combine: models...! -o,--output! --weights --force=False
join: models...! -o,--output! --force=False
measures: folder! --start-times --from= --to= --sessions --period=60 --vocalisation-gap=300 --turn-gap=2000
    --turn-overlap=1000 --shuffles=100 --seed=0 --min-confidence=0.0 --retest --child=child_id
methods: folder! --evaluation... -o,--output --format...
table: folder! --to=xlsx -o,--output --start-times
export: source! --to... -o,--output --audio... --childproject --sets=babyhubert --tiers=aclew
    --confidence=False
report: folder! --start-times --recordings --levels/--no-levels=True --with-clips=0 --seed=0
sample: source -o,--output --collect --audio... --method=random --clips=5 --length=60.0
    --context=0.0 --seed=0 --voice --format=eaf --blank=False --tiers=aclew --channel=mean
    --include-unchanged=False --plan=False --annotator=
review: folder! --annotator= --blank=False --quick=False -o,--output --audio... --method=random --clips=5
    --length=60.0 --context=2.0 --segments=50 --seed=0 --port=0 --browser/--no-browser=True
estimate: folder! --reference... --rates -o,--output --recordings --by --children --annotators
    --confidence=False
quality: audio...! -o,--output --recordings --channel=mean --force=False --workers --scheduler --slurm --shard
plot: folder! -o,--output! --recording --from --to --size=7.2x4.2 --dpi=300 --title= --start-times
models: name --measure/--no-measure=True --speed=exact --device=auto --json=False
simulate: -o,--output! --minutes=5.0 --recordings=4 --seed=0 --utterances --only-speakers...
    --without-speakers... --voice-change=0.0 --key-voice-change=0.0 --resonance-change=0.0 --whisper-share=0.0
    --wearer-share=0.0 --cries... --cry-share=0.15 --speech-share=0.25 --television-share=0.05 --knocks=2.0
    --noises=1.0 --clipping-share=0.0 --levels=typical --monologue-share=0.0 --backgrounds...
    --backgrounds-per-minute=2.0 --prefix=scene --format=wav
demo: -o,--output=demo --seed=0
app: --folder=~/BabyHuBERT --install-shortcut=False --port=0 --browser/--no-browser=True
corpus scan: audio...! -o,--output! --channel=mean --force=False --workers --scheduler --slurm --shard
corpus regions: corpus! --source! --path --labels --threshold=0.2 --pad=0.1 --device=auto --force=False
    --workers --scheduler --slurm --shard
corpus segments: corpus! --merge-gaps=2.0 --shortest=2.0 --longest=30.0 --published=False --list
corpus pack: corpus! --shard-mb=500.0 --validation-share=0.01 --seed=0 --channel --shard --force=False
evaluate voice-type: --reference! --predictions! -o,--output --uem --labels=KCHI,OCH,MAL,FEM
    --recordings --by... --over --bootstrap=2000 --seed=0 --confidence=0.95
evaluate addressee: --reference! --predictions! -o,--output --segments=auto --labels=ADS,KCDS,Other
    --map... --uem --bootstrap=2000 --seed=0 --confidence=0.95
evaluate classify: --reference! --predictions! -o,--output --task --column --segments=auto --labels --voices --map...
    --uem --bootstrap=2000 --seed=0 --confidence=0.95
evaluate phonemes: --reference! --predictions! -o,--output --by... --speakers=KCHI --map --inventory
    --simplify=False --ignore-unmatched=False --over --confusions=10 --bootstrap=2000 --seed=0 --confidence=0.95
evaluate agreement: --first! --second! -o,--output --uem --labels=KCHI,OCH,MAL,FEM --bootstrap=2000
    --seed=0 --confidence=0.95
evaluate robustness: --model --recording --sounds --utterances -o,--output --minutes=2.0 --level=-30.0
    --thresholds=f1 --window --overlap --seed=0 --device=auto
finetune voice-type: config! -o,--output! --set...
finetune addressee: config! -o,--output! --set...
finetune phonemes: config! -o,--output! --set...
finetune tasks: config! -o,--output! --set...
tune voice-type: --reference! --scores! -o,--output --uem --step=0.001 --min-on=0.1 --min-off=0.1
    --minimum-durations=False --folds=10 --equal-recordings=False --false-limit --calibrate=none
    --bootstrap=2000 --seed=0 --confidence=0.95
tune confidence: folder! --reference --reviewed... -o,--output --uem --folds=10 --bootstrap=2000 --seed=0
    --confidence=0.95
units fit: pack! -o,--output! --teacher! --clusters=500 --frames=2000000 --memory-gb=8.0 --seed=0
    --n-init=20 --max-iter=100 --batch-size=10000 --batch-seconds=60.0 --precision=float32 --device=auto
    --replace=False
units assign: pack! -o,--output! --kmeans! --teacher --batch-seconds=60.0 --precision --device=auto
    --replace=False
units report: pack! labels! -o,--output! --alignment --transcripts --aligner=uniform --abx --seed=0
"""
"""A line a command (continued when indented): arguments and options in the order of ``--help``.

``!`` is required, ``...`` may be repeated, ``=`` gives the default, ``/`` separates the spelling for no.
"""


def commands_of(group: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command, by the words a user types."""
    for name, entry in group.commands.items():
        if hasattr(entry, "commands"):
            yield from commands_of(entry, (*before, name))
        else:
            yield " ".join((*before, name)), entry


def written(parameter: Any) -> str:
    """An option in the words of the list."""
    names = "/".join(",".join(part) for part in (parameter.opts, parameter.secondary_opts) if part)
    repeated = parameter.nargs == -1 or getattr(parameter, "multiple", False)
    given = parameter.default
    default = "" if parameter.required or given is None or given == [] else f"={given}"
    return names + "..." * repeated + "!" * parameter.required + default


COMMANDS = dict(commands_of(typer.main.get_command(app)))
KEPT = {name: options.split() for name, options in re.findall(r"^(\w[^:\n]*):((?:.*\n)(?:    .*\n)*)", CONTRACT, re.M)}


def test_every_command_is_in_the_list():
    assert list(COMMANDS) == list(KEPT)


@pytest.mark.parametrize("name", COMMANDS)
def test_options_and_defaults_are_those_of_the_list(name):
    assert [written(parameter) for parameter in COMMANDS[name].params] == KEPT.get(name)
