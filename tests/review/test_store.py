"""Clips stored as a person corrects them: nothing of ELAN's or Praat's is lost, nothing of others overwritten."""

from __future__ import annotations

import csv
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the extra review")

from driving import rows_of, write_day
from hypothesis import given
from hypothesis import strategies as st
from praatio import textgrid as praat
from pympi.Elan import Eaf

from babyhubert.annotation.codes import label_of_tier
from babyhubert.annotation.columns import COLUMNS
from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.annotation.tiers import Piece, Tier
from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.files import is_temporary
from babyhubert.review.document import ClipTiers, Document, ReviewSegment
from babyhubert.review.store import ChangedElsewhereError, ClipStore
from commands import command


@pytest.fixture(params=["eaf", "textgrid"])
def clips(request, tmp_path) -> Path:
    run = write_day(tmp_path, {"sub/a": 40.0, "b": 30.0})
    options = ("--clips", 2, "--length", 10, "--context", 1, "--format", request.param)
    assert command("sample", run, "-o", tmp_path / "clips", *options).code == 0
    return tmp_path / "clips"


def kinds(document: Document) -> list[tuple[int, int, str]]:
    return sorted((one.start, one.end, one.label) for one in document.segments)


def test_a_clip_is_stored_as_it_was_changed(clips):
    store = ClipStore(clips)
    name = store.names[0]
    opened = store.open(name)
    assert kinds(opened.document) == rows_of(clips / name)
    assert opened.stretch[1] - opened.stretch[0] == 10_000
    new = ReviewSegment(2000, 2500, "FEM", values={"addressee": "KCDS", "unsure": "unsure", "note": 'a <b> & "c"'})
    over = ReviewSegment(2100, 2600, "FEM", text="hello")
    changed = replace(opened.document, segments=(*opened.document.segments[1:], new, over), note="wind\nand rain")
    version = store.write(name, changed, opened.version)
    again = store.open(name)
    assert again.version == version == store.version(name)
    assert kinds(again.document) == kinds(changed) == rows_of(clips / name)
    found = {(one.start, one.end): one for one in again.document.segments if one.label == "FEM"}
    assert found[2000, 2500].values == new.values
    assert found[2100, 2600].text == "hello"
    assert found[2100, 2600].tier != found[2000, 2500].tier
    assert again.document.note == "wind\nand rain"
    assert (again.document.status, again.document.is_done) == ("unfinished", False)
    (read,) = read_segments(clips / name, "x").values()
    assert "KCDS" in read.columns["addressee"].tolist()
    assert not any(is_temporary(path) for path in clips.rglob("*"))


def test_states_say_how_far_one_is(clips):
    store = ClipStore(clips)
    first, second, *_ = store.names
    opened = store.open(first)
    assert [store.state(name) for name in store.names] == ["untouched"] * 4
    version = store.write(first, opened.document, opened.version)
    assert (store.state(first), store.first_open()) == ("started", first)
    store.write(first, replace(opened.document, status="done"), version)
    assert (store.state(first), store.first_open()) == ("done", second)
    (clips / second).write_text("no", encoding="utf-8")
    assert store.state(second) == "damaged"
    assert ClipStore(clips).state(first) == "done"


def test_what_another_program_saved_is_never_overwritten(clips):
    store = ClipStore(clips)
    name = store.names[0]
    opened = store.open(name)
    text = (clips / name).read_text(encoding="utf-8")
    (clips / name).write_text(text + "\n", encoding="utf-8")
    with pytest.raises(ChangedElsewhereError, match="another program changed this clip"):
        store.write(name, opened.document, opened.version)
    assert (clips / name).read_text(encoding="utf-8") == text + "\n"
    assert store.write(name, store.open(name).document, store.open(name).version)


def test_two_pages_on_one_clip_do_not_lose_a_change(clips):
    one, other = ClipStore(clips), ClipStore(clips)
    opened = one.open(one.names[0])
    one.write(one.names[0], Document(), opened.version)
    with pytest.raises(ChangedElsewhereError):
        other.write(one.names[0], opened.document, opened.version)


def test_people_are_kept_apart(clips, tmp_path):
    before = {name: (clips / name).read_bytes() for name in ClipStore(clips).names}
    for who, label in (("anna", "FEM"), ("Ben B.", "MAL")):
        store = ClipStore(clips, who)
        for name in store.names[:3]:
            opened = store.open(name)
            assert opened.version == ""
            stretch = ReviewSegment(*opened.stretch, label)
            store.write(name, Document((stretch,), "done"), "")
        with pytest.raises(ChangedElsewhereError):
            store.write(store.names[0], Document(), "")
        assert [store.state(name) for name in store.names] == ["done"] * 3 + ["untouched"]
        assert command("sample", "--collect", clips, "-o", tmp_path / who, "--annotator", who).code == 0
    assert {name: (clips / name).read_bytes() for name in before} == before
    everything = command(
        "sample", "--collect", clips, "-o", tmp_path / "all", "--annotator", "anna", "--include-unchanged"
    )
    assert everything.out.startswith("4 clips, 0:00:40")
    for who, label in (("anna", "FEM"), ("Ben B.", "MAL")):
        for file in (tmp_path / who / "csv").rglob("*.csv"):
            (found,) = read_segments(file).values()
            assert found.labels == (label,)
    sides = ("--first", tmp_path / "anna", "--second", tmp_path / "Ben B.")
    agreed = command("evaluate", "agreement", *sides, "--uem", tmp_path / "anna" / "annotated.uem")
    assert agreed.code == 0, agreed.err
    sound = (
        Eaf(str(clips / "annotators" / "anna" / ClipStore(clips).names[0])) if "eaf" in str(before.keys()) else None
    )
    if sound is not None:
        (media,) = sound.media_descriptors
        folder = clips / "annotators" / "anna" / Path(ClipStore(clips).names[0]).parent
        assert (folder / media["RELATIVE_MEDIA_URL"]).resolve().is_file()


def test_corrections_of_others_are_not_shown(clips):
    store = ClipStore(clips)
    name = store.names[0]
    store.write(name, store.open(name).document, store.open(name).version)
    opened = ClipStore(clips, "anna").open(name)
    assert opened.document.segments == ()
    assert "Somebody else corrected this clip" in opened.notice


@pytest.mark.parametrize("who", ["../x", "a/b", "a\\b", ".hidden", "a\0b"])
def test_a_name_leads_nowhere_else(clips, who):
    with pytest.raises(ConfigError, match="--annotator"):
        ClipStore(clips, who)
    assert command("sample", "--collect", clips, "-o", clips / "r", "--annotator", who).code == 2


def test_blank_hides_predictions_until_somebody_wrote(clips):
    store = ClipStore(clips, blank=True)
    name = store.names[0]
    opened = store.open(name)
    assert opened.document.segments == ()
    store.write(name, replace(opened.document, segments=(ReviewSegment(1500, 2500, "OCH"),)), opened.version)
    assert kinds(store.open(name).document) == [(1500, 2500, "OCH")]


def test_unfinished_clips_are_not_collected(clips, tmp_path):
    store = ClipStore(clips)
    for number, name in enumerate(store.names):
        opened = store.open(name)
        store.write(name, replace(opened.document, status="done" if number else "annotate"), opened.version)
    result = command("sample", "--collect", clips, "-o", tmp_path / "reference")
    assert result.code == 0
    assert "1 clips skipped: their review is not finished" in " ".join(result.err.split())
    assert result.out.startswith("3 clips, 0:00:30")
    nothing = command("sample", "--collect", clips, "-o", tmp_path / "r", "--annotator", "eve")
    assert "nothing of 'eve'" in nothing.error


@pytest.mark.parametrize(
    "segment",
    [(-1, 5, "FEM"), (5, 5, "FEM"), (6, 5, "FEM"), (0, 10**6, "FEM"), (0, 5, ""), (0, 5, "CHI"), (0, 5, "notes")],
)
def test_what_cannot_be_is_refused(clips, segment):
    store = ClipStore(clips)
    name = store.names[0]
    before = (clips / name).read_bytes()
    with pytest.raises(AnnotationError, match=r"is no (segment|voice) of"):
        store.write(name, Document((ReviewSegment(*segment),)), store.open(name).version)
    assert (clips / name).read_bytes() == before


# ---- files of other programs


def foreign_eaf(path: Path) -> None:
    """The clip as ELAN saves it: two women, a vocabulary, participants, a language, a tier on the recording."""
    eaf = Eaf(str(path))
    eaf.add_language("eng", "English")
    eaf.add_controlled_vocabulary("voices")
    eaf.add_cv_description("voices", "eng", "kinds of voices")
    eaf.add_tier("FA1", "transcription", part="Grandma", ann="Zoé")
    eaf.add_annotation("FA1", 1200, 2300, "oma")
    eaf.add_linguistic_type("own", constraints="Symbolic_Association", timealignable=False)
    eaf.add_tier("xds@FA1", "own", parent="FA1", part="Grandma")
    eaf.add_ref_annotation("xds@FA1", "FA1", 1500, "T")
    eaf.add_tier("on_off", "transcription")
    eaf.add_annotation("on_off", 0, 5000, "on & off")
    eaf.to_file(str(path))


def sample(tmp_path: Path, kind: str) -> tuple[ClipStore, str]:
    run = write_day(tmp_path, {"a": 30.0})
    assert command("sample", run, "-o", tmp_path / "clips", "--clips", 1, "--length", 10, "--format", kind).code == 0
    store = ClipStore(tmp_path / "clips")
    return store, store.names[0]


def test_content_of_an_elan_file_is_kept(tmp_path):
    store, name = sample(tmp_path, "eaf")
    path = store.folder / name
    foreign_eaf(path)
    before = ElementTree.parse(path).getroot()
    opened = store.open(name)
    grandma = next(one for one in opened.document.segments if one.tier == "FA1")
    assert (grandma.label, grandma.text, grandma.values) == ("FEM", "oma", {"addressee": "KCDS"})
    others = tuple(one for one in opened.document.segments if one is not grandma)
    moved = replace(grandma, start=1300, values={"addressee": "ADS", "unsure": "unsure"})
    store.write(name, replace(opened.document, segments=(*others, moved)), opened.version)
    after = ElementTree.parse(path).getroot()
    for tag in ("LINGUISTIC_TYPE", "LANGUAGE", "CONTROLLED_VOCABULARY", "CONSTRAINT", "HEADER/MEDIA_DESCRIPTOR"):
        kept = {ElementTree.tostring(one).strip() for one in after.iterfind(tag)}
        assert {ElementTree.tostring(one).strip() for one in before.iterfind(tag)} <= kept, tag
    attributes = {tier.get("TIER_ID"): tier.attrib for tier in after.iterfind("TIER")}
    for tier in before.iterfind("TIER"):
        assert attributes[tier.get("TIER_ID")] == tier.attrib
    eaf = Eaf(str(path))
    assert eaf.get_annotation_data_for_tier("FA1") == [(1300, 2300, "oma")]
    assert [row[2] for row in eaf.get_ref_annotation_data_for_tier("xds@FA1")] == ["A"]
    assert eaf.get_annotation_data_for_tier("on_off") == [(0, 5000, "on & off")]
    order = [child.tag for child in after]
    assert order == sorted(order, key=SCHEMA.index)


SCHEMA = ["LICENSE", "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LOCALE", "LANGUAGE", "CONSTRAINT"]
SCHEMA += ["CONTROLLED_VOCABULARY", "LEXICON_REF", "REF_LINK_SET", "EXTERNAL_REF"]


def with_offset(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("<MEDIA_DESCRIPTOR ", '<MEDIA_DESCRIPTOR TIME_ORIGIN="100" '), encoding="utf-8")


def with_divided_segments(path: Path) -> None:
    eaf = Eaf(str(path))
    eaf.add_linguistic_type("words", constraints="Included_In")
    eaf.add_tier("words", "words", parent="CHI")
    eaf.add_annotation("words", 1, 5, "x")
    eaf.to_file(str(path))


@pytest.mark.parametrize("change", [with_offset, with_divided_segments])
def test_an_elan_file_that_would_lose_something_is_only_shown(tmp_path, change):
    store, name = sample(tmp_path, "eaf")
    change(store.folder / name)
    before = (store.folder / name).read_bytes()
    opened = store.open(name)
    assert opened.read_only
    with pytest.raises(AnnotationError, match="correct this clip in the program that wrote it"):
        store.write(name, opened.document, opened.version)
    assert (store.folder / name).read_bytes() == before


def test_a_textgrid_of_praat(tmp_path):
    store, name = sample(tmp_path, "textgrid")
    path = store.folder / name
    grid = praat.openTextgrid(str(path), includeEmptyIntervals=False)
    grid.addTier(praat.IntervalTier("FA1", [(1.2, 2.3, "oma")], 0, 10))
    grid.addTier(praat.IntervalTier("comments", [(0, 5, 'a "quote"')], 0, 10))
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)
    opened = store.open(name)
    store.write(name, opened.document, opened.version)
    found = praat.openTextgrid(str(path), includeEmptyIntervals=False)
    assert {"FA1", "comments", "code", "CHI", "FA0", "MA0", "OC0"} <= set(found.tierNames)
    assert [tuple(one) for one in found.getTier("FA1").entries] == [(1.2, 2.3, "oma")]
    assert [tuple(one) for one in found.getTier("comments").entries] == [(0, 5, 'a "quote"')]
    grid.addTier(praat.PointTier("clicks", [(1.5, "x")], 0, 10))
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)
    assert "points" in store.open(name).read_only


@st.composite
def tiers(draw) -> list[Tier]:
    """Tiers of voices with values below them, one of a voice that is none of the four, and one on the recording."""
    made = []
    names = st.sampled_from(["CHI", "OC0", "UC1", "FA0", "FA1", "MA0", "TV", "TV-2"])
    for name in draw(st.lists(names, unique=True)):
        cuts = sorted(draw(st.sets(st.integers(0, 10_000), max_size=8)))
        pieces = [
            Piece(a, b, draw(st.sampled_from(["", "text"]))) for a, b in zip(cuts[::2], cuts[1::2], strict=False)
        ]
        made.append(Tier(name, tuple(pieces)))
        if draw(st.booleans()):
            described = [piece for piece in pieces if draw(st.booleans())]
            said = tuple(piece._replace(text=draw(st.sampled_from(["T", "A"]))) for piece in described)
            made.append(Tier(f"xds@{name}", said, name))
    made.append(Tier("context", (Piece(0, 9000, "kitchen"),)))
    return made


@given(tiers())
def test_a_document_that_is_not_changed_gives_the_same_tiers(made):
    read = ClipTiers.of(made, (1000, 9000), COLUMNS)
    assert read.why_not_rewritten() is None
    written = [tier for tier in read.with_document(read.document()) if tier.name != "code"]
    assert sorted(written, key=lambda tier: tier.name) == sorted(made, key=lambda tier: tier.name)


@given(tiers(), st.randoms(use_true_random=False), st.integers(0, 12))
def test_no_change_loses_or_shifts_another_segment(made, draw, count):
    read = ClipTiers.of(made, (1000, 9000), COLUMNS)
    labels = [*VOICE_TYPES, *{label for _, label in read.voices() if label not in VOICE_TYPES}]
    kept = [one for one in read.document().segments if draw.random() < 0.8]
    starts = np.array([draw.randrange(0, 9000) for _ in range(count)])
    new = [ReviewSegment(int(start), int(start) + draw.randrange(1, 3000), draw.choice(labels)) for start in starts]
    segments = tuple(sorted([*kept, *new], key=lambda one: (one.start, one.end, one.label)))
    written = read.with_document(Document(segments, "done", "note"))
    names = frozenset(tier.name for tier in written)
    assert len(names) == len(written)
    for tier in written:
        assert all(one.end <= other.start for one, other in zip(tier.pieces, tier.pieces[1:], strict=False)), tier
    again = ClipTiers.of(written, (1000, 9000), COLUMNS).document()
    plain = [(one.start, one.end, one.label, one.text, dict(one.values)) for one in segments]
    found = [(one.start, one.end, one.label, one.text, dict(one.values)) for one in again.segments]
    assert sorted(plain, key=str) == sorted(found, key=str)
    assert (again.is_done, again.note) == (True, "note")
    own = {(one.start, one.end, one.tier) for one in kept}
    assert own <= {(one.start, one.end, one.tier) for one in again.segments}
    assert all(label_of_tier(one.tier, names) == one.label for one in again.segments)


def test_bad_folders_are_one_clear_line(tmp_path, clips):
    assert "no such folder" in command("review", tmp_path / "none", "--no-browser").error
    assert not (tmp_path / "none").exists()
    with (clips / "clips.csv").open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    (clips / "clips.csv").write_text(",".join(header) + "\n", encoding="utf-8")
    assert "holds no clips" in command("review", clips, "--no-browser").error


def test_a_missing_library_is_named_with_the_command_that_installs_it(clips, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install '.[review]'" in command("review", clips, "--no-browser").error
