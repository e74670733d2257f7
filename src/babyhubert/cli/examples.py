"""Examples at the end of every command's help, in one place; a test parses each of them."""

from __future__ import annotations

import typer

EXAMPLES: dict[str, tuple[str, ...]] = {
    "segment": ("segment recordings/ -o results/", "segment recordings/ -o results/ --thresholds high-precision"),
    "analyze": ("analyze recordings/ -o results/ --model my-model",),
    "addressee": ("addressee recordings/ -o results/ --model coml/addressee",),
    "classify": ("classify recordings/ -o results/ --model my-model",),
    "phonemes": ("phonemes recordings/ -o results/ --model babar.ckpt",),
    "embed": (
        "embed recordings/ -o embeddings/ --layers 2,4",
        "embed recordings/ -o embeddings/ --model coml/BabyHuBERT --layers 7 --segments results/rttm.csv",
    ),
    "pretrain": ("pretrain configs/pretrain.toml -o run/",),
    "recipe": ("recipe configs/babyhubert-small.toml -o out/ --plan",),
    "status": ("status results/",),
    "merge": ("merge results/",),
    "models": ("models", "models coml/VTC-2"),
    "convert": ("convert checkpoint.ckpt my-model/", "convert my-model/ other/ --thresholds tuned/"),
    "combine": ("combine my-model/ other/ -o mean/", "combine a/ b/ start/ -o both/ --weights 1,1,-1"),
    "join": ("join voices/ addressees/ -o both/",),
    "measures": ("measures results/", "measures results/ --start-times times.csv --from 7:00 --to 20:00"),
    "table": ("table results/ --to xlsx",),
    "export": ("export results/ --to eaf --to textgrid",),
    "report": ("report results/",),
    "quality": ("quality recordings/ -o quality/",),
    "methods": ("methods results/",),
    "sample": ("sample results/ -o clips/ --context 2", "sample --collect clips/ -o reference/"),
    "review": ("review clips/", "review results/ --quick"),
    "estimate": ("estimate results/ --reference reference/",),
    "plot": ("plot results/ --recording day1 -o day1.pdf --from 8:00 --to 12:00",),
    "simulate": ("simulate -o scenes/ --recordings 2 --minutes 30",),
    "demo": ("demo -o demo/",),
    "app": ("app", "app --install-shortcut"),
    "corpus scan": ("corpus scan recordings/ -o corpus/",),
    "corpus regions": ("corpus regions corpus/ --source silero",),
    "corpus segments": ("corpus segments corpus/",),
    "corpus pack": ("corpus pack corpus/",),
    "evaluate voice-type": ("evaluate voice-type --reference reference/ --predictions results/ -o scores/",),
    "evaluate addressee": ("evaluate addressee --reference addressees.csv --predictions results/",),
    "evaluate classify": ("evaluate classify --reference classes.csv --predictions results/",),
    "evaluate phonemes": ("evaluate phonemes --reference transcripts.csv --predictions results/",),
    "evaluate agreement": ("evaluate agreement --first anna/ --second ben/",),
    "evaluate robustness": ("evaluate robustness --model my-model", "evaluate robustness --sounds sounds/"),
    "finetune voice-type": ("finetune voice-type configs/voice-type-adapt.toml -o my-model/",),
    "finetune addressee": ("finetune addressee configs/addressee.toml -o my-model/",),
    "finetune phonemes": ("finetune phonemes configs/babar.toml -o my-model/",),
    "finetune tasks": ("finetune configs/vocalisation.toml -o my-model/",),
    "tune voice-type": ("tune voice-type --reference reference/ --scores results/ -o tuned/",),
    "tune confidence": ("tune confidence results/ --reference reference/ -o confidence/",),
    "units fit": ("units fit corpus/pack -o units/ --teacher mfcc --clusters 100",),
    "units assign": ("units assign corpus/pack --kmeans units/ -o labels/",),
    "units report": ("units report corpus/pack labels/ -o report/",),
}
"""Arguments by command, without the program's name."""


def add_examples(app: typer.Typer, before: str = "") -> None:
    """Put the examples below the help of each command of an application and of its groups."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        lines = EXAMPLES.get(f"{before}{name}", ())
        if lines:
            command.epilog = "\n\n".join(["Example:", *(f"babyhubert {line}" for line in lines)])
    for group in app.registered_groups:
        if group.typer_instance is not None:
            add_examples(group.typer_instance, f"{group.name} ")
