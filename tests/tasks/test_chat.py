"""Phonemes from CHAT transcripts: exact times, phones of the actual pronunciation, and what is left out or refused."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from babyhubert.annotation.chat import read_transcript
from babyhubert.errors import AnnotationError, MissingExtraError
from babyhubert.material.settings import DataSource, SkippedMaterial
from babyhubert.material.sources import read_source
from babyhubert.phonology.inventory import Inventory
from babyhubert.tasks.phonemes.settings import PhonemeSettings
from babyhubert.tasks.phonemes.training import PhonemeTask
from babyhubert.timebase import frame_count

pylangacq = pytest.importorskip("pylangacq")

HEADER = """@UTF8
@PID:\t11312/c-00000000-1
@Begin
@Languages:\teng
@Participants:\tCHI {name} Target_Child, MOT Mother, OBS Eva
\tInvestigator
@ID:\teng|Own|CHI|1;06.00|female|||Target_Child|||
@ID:\teng|Own|MOT|||||Mother|||
@ID:\teng|Own|OBS|||||Investigator|||
@Media:\t{media}, audio
@Date:\t01-JAN-2000
"""
BODY = """*MOT:\tlook at the
\tlittle dog ! \x150_1519\x15
%pho:\tlʊk æt ðə
*CHI:\tdoggie [: dog] there . \x151520_2345\x15
%mod:\tˈdɔɡi ðɛɹ
%pho:\t‹ˈdɔ.ɡi (.) də› .
%com:\tmade up
@Comment:\tin the middle of the file
*CHI:\txxx . \x152501_3000\x15
%pho:\t*
*CHI:\t&=laughs . \x153000_3500\x15
*CHI:\tno time .
%pho:\tnu
*CHI:\ta long
\tline . \x153601_4600\x15
%pho:\tlɔ̃n
\tbat͡ʃu
*CHI:\txxx dog . \x154600_4900\x15
%pho:\tdɔ
*CHI:\tyyy . \x155000_5777\x15
%pho:\tba+ba
*CHI:\t0 . \x155800_5900\x15
%pho:\t(..)
@End
"""


def write(
    folder: Path, stem: str = "anna-0106", body: str = BODY, name: str = "Anna", media: str | None = None
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.cha"
    path.write_text(HEADER.format(name=name, media=media or stem) + body, encoding="utf-8")
    return path


def write_audio(folder: Path, stem: str = "anna-0106", seconds: float = 6.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * 16_000))
    soundfile.write(folder / f"{stem}.wav", noise, 16_000)
    return folder / f"{stem}.wav"


def elsewhere(path: Path) -> str:
    """The transcript with its recordings in another folder, since what is trained on may not validate."""
    folder = path.parent.with_name(f"{path.parent.name}-elsewhere")
    shutil.copytree(path.parent, folder)
    return str(folder / path.name)


def changed(folder: Path, old: str, new: str) -> Path:
    assert old in BODY
    return write(folder, body=BODY.replace(old, new))


def prepare(tmp_path, data, **changes):
    left_out = SkippedMaterial()
    settings = PhonemeSettings.model_validate({"data": data, "context_s": 4.0, "simplify": True, **changes})
    return PhonemeTask.prepare(settings, tmp_path / "cache", 0, left_out), left_out


def shown(task, material):
    symbols = np.array(task.labels)
    return [" ".join(symbols[material.of(row)]) for row in range(len(material.utterances))]


# --- what is read ---


def test_times_are_exact_and_those_that_pylangacq_reads(tmp_path):
    path = write(tmp_path)
    write_audio(tmp_path)
    (recording,) = read_source(DataSource(path=str(path)))
    marks = [one.time_marks for one in pylangacq.read_chat(path).utterances() if one.time_marks]
    assert [(row.start, row.end) for row in recording.rows] == [(16 * start, 16 * end) for start, end in marks]
    assert recording.rows[1].start == 24_320
    assert recording.file.path == tmp_path / "anna-0106.wav"
    assert recording.rows[1].where == f"{path}, line 15"


def test_an_utterance_with_several_marks_goes_from_the_first_to_the_last(tmp_path):
    path = changed(tmp_path, "a long\n", "a long \x153601_3900\x15\n")
    spans = [one.span for one in read_transcript(path, "pho").utterances]
    assert (3601 * 16, 4600 * 16) in spans


def test_speakers_become_labels_children_and_ids(tmp_path):
    write(tmp_path)
    write_audio(tmp_path)
    (recording,) = read_source(DataSource(path=str(tmp_path)))
    mother, child = (row.fields for row in recording.rows[:2])
    assert (child["label"], child["speaker"], child["role"]) == ("KCHI", "CHI", "Target_Child")
    assert (mother["label"], mother["speaker"], mother["role"]) == ("MOT", "MOT", "Mother")
    assert mother["child_id"] == child["child_id"] == child["speaker_id"] == "Own/Anna"
    assert mother["speaker_id"] == "Own/Anna/MOT"


def test_a_child_without_a_name_is_its_folder_or_else_its_transcript(tmp_path):
    for stem, folder in (("b", tmp_path / "corpus/Ben"), ("c", tmp_path / "corpus/Ben"), ("d", tmp_path / "corpus")):
        write(folder, stem, name="")
        write_audio(folder, stem)
    found = read_source(DataSource(path=str(tmp_path / "corpus")))
    assert [(one.file.recording_id, one.rows[0].fields["child_id"]) for one in found] == [
        ("Ben/b", "Ben"),
        ("Ben/c", "Ben"),
        ("d", "d"),
    ]


@pytest.mark.parametrize(
    ("words", "phones"),
    [
        ("ˈdɔ.ɡi də", "d ɔ ɡ i | d ə"),
        ("t͡ʃuː", "t͡ʃ uː"),
        ("tʃatsi", "tʃ a ts i"),
        ("lɔ̃n ã", "l ɔ̃ n | ã"),
        ("a\u0303 pʰaɪ̯˞", "ã | pʰ a ɪ̯˞"),
        ("ma˥˩ma", "m a˥˩ m a"),
        ("ʰba", "ʰ b a"),
        ("‹ba+ba^be›", "b a b a b e"),
        ("", ""),
    ],
)
def test_words_become_phones_longest_symbols_first(words, phones):
    inventory = Inventory(("t", "ʃ", "tʃ", "<blank>"), {"ts": "t"})
    assert inventory.split(words) == phones


def test_phones_of_the_target_child_enter_and_the_rest_is_told(tmp_path):
    path = write(tmp_path)
    write_audio(tmp_path)
    task, left_out = prepare(tmp_path, {"train": str(path), "validation": elsewhere(path)})
    assert shown(task, task.train) == ["d ɔ ɡ i d ə", "l ɔ̃ n b a t ʃ u", "b a b a"]
    assert task.train.utterances.start.tolist() == [1520 * 16, 3601 * 16, 5000 * 16]
    assert task.train.utterances.end.tolist() == [2345 * 16, 4600 * 16, 5777 * 16]
    trained = {reason: [i for i in items if i.startswith(f"{path},")] for reason, items in left_out.items.items()}
    assert {reason: sorted(items) for reason, items in trained.items()} == {
        "no time mark": [f"{path}, line 23"],
        "no %pho tier": [f"{path}, line 22"],
        "unintelligible to the transcriber (xxx, yyy, *)": [f"{path}, line 20", f"{path}, line 29"],
        "no phones given": [f"{path}, line 33"],
    }


def test_voices_choose_other_speakers(tmp_path):
    path = write(tmp_path)
    write_audio(tmp_path)
    data = {"train": str(path), "validation": elsewhere(path)}
    task, left_out = prepare(tmp_path, data, voices=["MOT"])
    assert shown(task, task.train) == ["l ʊ k æ t ð ə"]
    assert not left_out.items


def test_the_target_pronunciation_is_read_only_where_it_is_asked_for(tmp_path):
    path = write(tmp_path)
    write_audio(tmp_path)
    source = {"path": str(path), "tier": "mod"}
    task, left_out = prepare(tmp_path, {"train": source, "validation": {**source, "path": elsewhere(path)}})
    assert shown(task, task.train) == ["d ɔ ɡ i ð ɛ ɹ"]
    assert len(set(left_out.items["no %mod tier"])) == 2 * 6  # of training and of validation
    write(tmp_path, body=BODY.replace("%pho", "%xpho"))
    with pytest.raises(
        AnnotationError, match=r'no utterance has a tier %pho \(tiers there: .*%mod, %xpho\).*tier = "'
    ):
        read_source(DataSource(path=str(path)))
    assert read_source(DataSource(path=str(path), tier="xpho"))[0].rows[1].fields["ipa_words"] == "‹ˈdɔ.ɡi də›"


def test_a_split_keeps_the_transcripts_of_a_child_together(tmp_path):
    for stem, name in (("a1", "Anna"), ("a2", "Anna"), ("b1", "Ben"), ("c1", "Cleo")):
        write(tmp_path / "corpus", stem, name=name)
        write_audio(tmp_path / "media", stem)
    source = {"path": str(tmp_path / "corpus"), "audio": str(tmp_path / "media")}
    for seed in range(4):
        data = {"train": source, "validation_share": 0.3, "split_seed": seed}
        task, _ = prepare(tmp_path, data)
        train, held = ({*part.utterances.store.recording_ids} for part in (task.train, task.validation))
        assert ("a1" in held) == ("a2" in held)
        assert not train & held


def test_the_task_trains_on_batches_of_it(tmp_path):
    path = write(tmp_path)
    write_audio(tmp_path)
    task, _ = prepare(tmp_path, {"train": str(path), "validation": elsewhere(path)}, batch_size=3)
    batch = task.batch(0)
    assert batch.targets["phone_counts"].sum() == 6 + 8 + 4
    head = task.new_head(8, None)
    features = torch.randn(3, frame_count(batch.waveforms.shape[1]), 8)
    assert task.loss(head, features, batch).item() > 0


# --- where recordings are ---


def test_a_recording_is_found_by_media_then_by_name_beside_or_in_the_audio_folder(tmp_path):
    write(tmp_path / "a", "010600", media='"https://media.example/x/Session-1.mp3"')
    write(tmp_path / "b", "010600")
    for folder, stem in (("media/elsewhere", "session-1"), ("media/a", "010600"), ("media/b", "010600")):
        write_audio(tmp_path / folder, stem)
    for folder in ("a", "b"):
        (tmp_path / "chat" / folder).mkdir(parents=True)
        (tmp_path / folder / "010600.cha").rename(tmp_path / "chat" / folder / "010600.cha")
    found = read_source(DataSource(path=str(tmp_path / "chat"), audio=str(tmp_path / "media")))
    assert [one.file.path.relative_to(tmp_path).as_posix() for one in found] == [
        "media/elsewhere/session-1.wav",
        "media/b/010600.wav",
    ]
    write_audio(tmp_path / "media/c", "Session-1")
    with pytest.raises(AnnotationError, match=r"a/010600\.cha: its recording may be"):
        read_source(DataSource(path=str(tmp_path / "chat"), audio=str(tmp_path / "media")))


def test_a_folder_with_rttm_is_read_as_before(tmp_path):
    write(tmp_path)
    write_audio(tmp_path)
    (tmp_path / "rttm").mkdir()
    (tmp_path / "rttm/anna-0106.rttm").write_text("SPEAKER anna-0106 1 0.0 1.0 <NA> <NA> KCHI <NA> <NA>\n")
    (recording,) = read_source(DataSource(path=str(tmp_path)))
    assert [dict(row.fields) for row in recording.rows] == [{"label": "KCHI"}]


def test_hidden_files_are_no_transcripts_and_select_takes_some(tmp_path):
    write(tmp_path)
    write(tmp_path, "ben-0106")
    write_audio(tmp_path)
    (tmp_path / "._anna-0106.cha").write_bytes(b"\x00\x05")
    (recording,) = read_source(DataSource(path=str(tmp_path), select=["anna*"]))
    assert recording.file.recording_id == "anna-0106"


# --- what is refused ---


def test_a_missing_recording_is_named_with_the_remedy(tmp_path):
    path = write(tmp_path)
    with pytest.raises(AnnotationError, match=r"anna-0106\.cha: no recording of it found: .*audio = "):
        read_source(DataSource(path=str(path)))
    write_audio(tmp_path, "other")
    with pytest.raises(AnnotationError, match=r"anna-0106\.cha: its recording anna-0106 is not below .*audio = "):
        read_source(DataSource(path=str(path)))


def test_phones_that_are_in_no_inventory_are_named_with_file_and_line(tmp_path):
    path = changed(tmp_path, "%pho:\tba+ba", "%pho:\tba7baǃ")
    write_audio(tmp_path)
    with pytest.raises(
        AnnotationError, match=r"anna-0106\.cha, line 31: phones outside .*7 \(1\), ǃ \(1\).*phone_map"
    ):
        prepare(tmp_path, {"train": str(path), "validation": elsewhere(path)})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\x151520_2345\x15", "\x152345_1520\x15", "line 15: from 2345 to 1520 ms is no stretch of time"),
        ("\x151520_2345\x15", "\x151520_1520\x15", "line 15: from 1520 to 1520 ms"),
        ("\x151520_2345\x15", '\x15%snd:"anna"_1520_2345\x15', "line 15: a time mark that is not.*FIXBULLETS"),
        ("\x151520_2345\x15", "\x1599999999999999999999_999999999999999999999\x15", "line 15: a time mark"),
        ("*CHI:\tno time", "*CHI no time", "line 23: not a line of CHAT"),
        ("%com:\tmade up", "made up", r"line 18: not a line of CHAT \('made up'\)"),
        ("%mod:", "%pho:", "line 17: a %pho: with no utterance of its own"),
    ],
)
def test_malformed_lines_are_named(tmp_path, old, new, message):
    path = changed(tmp_path, old, new)
    with pytest.raises(AnnotationError, match=rf"anna-0106\.cha, {message}"):
        read_transcript(path, "pho")


def test_a_transcript_that_is_not_linked_to_its_recording_is_named(tmp_path):
    path = write(tmp_path, body="*CHI:\tdog .\n%pho:\tdɔ\n@End\n")
    with pytest.raises(AnnotationError, match=r"anna-0106\.cha: no utterance has a time mark; link it"):
        read_transcript(path, "pho")
    path.write_bytes(b"@UTF8\n*CHI:\tb\xe9b\xe9 .\n")
    with pytest.raises(AnnotationError, match="UTF-8"):
        read_transcript(path, "pho")


def test_without_pylangacq_the_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path)
    monkeypatch.setitem(sys.modules, "pylangacq", None)
    with pytest.raises(MissingExtraError, match=r"\.\[chat\]"):
        read_source(DataSource(path=str(path)))
