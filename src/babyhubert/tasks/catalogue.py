"""Models that commands take by name: those of the package, the released ones, and those in the hub's cache.

Nothing is downloaded, and no weights are read: shapes and sizes come from configurations and headers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.context import WindowSettings, window_settings_of
from babyhubert.encoder.flavours.layout import PUBLISHED_KINDS
from babyhubert.encoder.heads import VOICE_TYPE
from babyhubert.errors import BabyHubertError, CheckpointError, some_names
from babyhubert.shipped import SHIPPED_MODELS, SMALL_MODEL, shipped_models

RESEARCH_TERMS = (
    "research only, no commercial use, no surveillance; the terms apply to every model derived from it, and are "
    "accepted on its page (then 'hf auth login')"
)
"""Terms of the released weights, in short; the page has them in full."""


@dataclass(frozen=True)
class CatalogueModel:
    """One model.

    Attributes:
        name: As ``--model`` takes it.
        origin: In the package, released on the hub by its authors, or another model in the hub's cache.
        tasks: Names of its heads; empty for an encoder alone.
        use: Commands that it is for.
        terms: Licence, or terms of use.
        description: One sentence.
        page: Its page on the hub, if it has one.
        folder: Where it is on this machine; None: not downloaded.
        parameters: Number of parameters; None: unknown.
        size_bytes: Size of its weights; None: unknown.
    """

    name: str
    origin: Literal["package", "released", "cache"]
    tasks: tuple[str, ...] = ()
    use: str = ""
    terms: str = ""
    description: str = ""
    page: str = ""
    folder: Path | None = None
    parameters: int | None = None
    size_bytes: int | None = None

    def as_record(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "folder": None if self.folder is None else str(self.folder)}

    def shape(self) -> tuple[HubertConfig, WindowSettings] | None:
        """Encoder up to the voice-type (or first) head, and its windows; None where the folder lacks them."""
        if self.folder is None or not (self.folder / "config.json").is_file():
            return None
        try:
            config = HubertConfig.from_transformers(_json(self.folder / "config.json"))
            card = _json(self.folder / "task.json")
            heads = card.get("heads", {})
            if not heads:
                return config, WindowSettings(20.0, 0.2)
            kinds = {name: head.get("kind", PUBLISHED_KINDS.get(name)) for name, head in heads.items()}
            settings = window_settings_of(card, kinds)
        except BabyHubertError:
            return None
        head = VOICE_TYPE if VOICE_TYPE in heads else next(iter(heads))
        path = config.path(heads[head].get("block") or config.layers)
        return config.with_changes(layers=len(path), branches=(), own_convolutions=()), settings[head]


RELEASED = (
    CatalogueModel("coml/VTC-2", "released", ("voice_type",), "segment", RESEARCH_TERMS, "Voice types (VTC 2)."),
    CatalogueModel("coml/addressee", "released", ("addressee",), "addressee", RESEARCH_TERMS, "Addressees of adults."),
    CatalogueModel("coml/BabyHuBERT", "released", (), "embed, finetune", RESEARCH_TERMS, "The encoder."),
)
"""Released models; BabAR, for phonemes, is a checkpoint file without a repository."""


def catalogue() -> list[CatalogueModel]:
    """All models: of the package, released, then others in the cache."""
    cached = {model.name: model for model in _cached()}
    released = [_placed(model, cached.pop(model.name, None)) for model in RELEASED]
    return [*(_of_package(name) for name in shipped_models()), *released, *cached.values()]


def find_model(name: str) -> CatalogueModel:
    """One of them by its name.

    Raises:
        CheckpointError: there is none of this name.
    """
    models = catalogue()
    found = next((model for model in models if model.name == name), None)
    if found is None:
        raise CheckpointError(f"{name}: no such model here; there are {some_names([m.name for m in models], most=20)}")
    return found


def _of_package(name: str) -> CatalogueModel:
    model = CatalogueModel(name, "package", use="every command without --model" if name == SMALL_MODEL.name else "")
    return _described(model, SHIPPED_MODELS / name)


def _placed(model: CatalogueModel, cached: CatalogueModel | None) -> CatalogueModel:
    model = replace(model, page=f"https://huggingface.co/{model.name}")
    if cached is None:
        return model
    return replace(model, folder=cached.folder, parameters=cached.parameters, size_bytes=cached.size_bytes)


def _cached() -> Iterator[CatalogueModel]:
    """Models in the hub's cache whose encoder this package reads, the newest revision of each."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        found = scan_cache_dir()
    except CacheNotFound:
        return
    for repo in sorted(found.repos, key=lambda repo: repo.repo_id):
        revisions = sorted(repo.revisions, key=lambda revision: revision.last_modified)
        if repo.repo_type != "model" or not revisions:
            continue
        model = CatalogueModel(repo.repo_id, "cache", page=f"https://huggingface.co/{repo.repo_id}")
        folder = Path(revisions[-1].snapshot_path)
        known = any(model.name == released.name for released in RELEASED)
        if known or replace(model, folder=folder).shape() is not None:
            yield replace(_described(model, folder), size_bytes=repo.size_on_disk)


def _described(model: CatalogueModel, folder: Path) -> CatalogueModel:
    card = _json(folder / "task.json")
    weights = folder / "model.safetensors"
    return replace(
        model,
        folder=folder,
        tasks=tuple(sorted(card.get("heads", {}))),
        terms=str(card.get("licence", "")),
        description=str(card.get("description", "")),
        parameters=_parameters(weights) if weights.is_file() else None,
        size_bytes=weights.stat().st_size if weights.is_file() else None,
    )


def _parameters(weights: Path) -> int | None:
    """Number of parameters, from the header of the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="numpy") as tensors:
            shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError):
        return None
    total = 0
    for shape in shapes:
        count = 1
        for length in shape:
            count *= length
        total += count
    return total


def _json(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
