"""What a task of a configuration says of segments, in everything that reads results: by its column, never its name."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_models import write_task_model

from babyhubert.annotation.columns import COLUMNS, COLUMNS_FILE, Column, column_of_task, described, with_columns
from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.tiers import lay_out, segments_of
from babyhubert.errors import ConfigError
from babyhubert.files import temporary_beside
from babyhubert.measures.speech import class_measures
from babyhubert.measures.tables import columns, measure_names
from babyhubert.runs.merging import sharded_commands
from babyhubert.tasks.registry import check_name
from commands import command, contents, write_sounds

CLASSES = ("cry", "laugh", "other")
CARD = {"column": "vocal", "voices": ["KCHI", "FEM"], "tier": "voc@", "codes": {"cry": "Y", "laugh": "L"}}
OWN = {"vocalisation": ("classification", CLASSES), "words": ("ctc", ("da", "no", "<blank>"))}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    card = {"vocalisation": CARD, "words": {"voices": ["FEM"]}}
    return write_task_model(tmp_path_factory.mktemp("models") / "own", ["voice_type"], card, own=OWN, seed=3)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return write_sounds(tmp_path_factory.mktemp("sounds"), ["a.wav", "sub/b.wav", "c.wav"], 20)


@pytest.fixture(scope="module")
def output(tmp_path_factory, model, sounds):
    out = tmp_path_factory.mktemp("run") / "out"
    for verb in (["segment"], ["classify", "--task", "vocalisation"], ["phonemes", "--task", "words"]):
        done = command(*verb, sounds, "-o", out, "--model", model, "--device", "cpu")
        assert done.code == 0, done.err
    return out


@pytest.fixture(scope="module")
def said(output):
    """Rows of the task's tables, by recording."""
    found = {name: rows(output / "vocalisation" / f"{name}.csv") for name in ("a", "sub/b", "c")}
    assert {row["vocal"] for each in found.values() for row in each} >= {"", "other", "cry"}, "classes must differ"
    return found


def content(segments: Segments, column: str) -> list[tuple]:
    """Segments in whole milliseconds, with a column."""
    values = segments.columns.get(column, [""] * len(segments))
    return sorted(
        (start // 16, end // 16, label, value) for (start, end, label), value in zip(segments, values, strict=True)
    )


def expected(table: list[dict[str, str]]) -> list[tuple]:
    return sorted(
        (
            round(1000 * float(row["start_time_s"])),
            round(1000 * (float(row["start_time_s"]) + float(row["duration_s"]))),
            row["label"],
            row["vocal"],
        )
        for row in table
    )


def test_the_run_says_what_its_column_means(output):
    run = json.loads((output / "run.json").read_text(encoding="utf-8"))
    assert run["also"]["vocalisation"]["task"] == {
        "task": "vocalisation",
        "kind": "classification",
        "column": "vocal",
        "classes": list(CLASSES),
        "voices": ["KCHI", "FEM"],
        "tier": "voc@",
        "codes": {"cry": "Y", "laugh": "L"},
    }
    assert run["also"]["words"]["task"]["kind"] == "ctc"
    assert "task" not in run


@pytest.mark.parametrize("kind", ["eaf", "textgrid"])
def test_tiers_carry_codes_and_are_read_back_as_classes(output, said, tmp_path, kind):
    done = command("export", output, "--to", kind, "-o", tmp_path)
    assert done.code == 0, done.err
    back = read_annotations(tmp_path / kind)
    for name, table in said.items():
        assert content(back[name], "vocal") == expected(table)
    assert "ChildProject's .eaf importer may fail on voc@" in done.err
    text = (tmp_path / kind / ("a.eaf" if kind == "eaf" else "a.TextGrid")).read_text(encoding="utf-8")
    assert "voc@CHI" in text
    assert "words@FA0" in text
    assert any(word in text for word in (">Y<", '"Y"'))
    (tmp_path / COLUMNS_FILE).unlink()  # a file alone: the column is called as its tier, and holds codes
    alone = read_annotations(tmp_path / kind)["a"]
    assert set(filter(None, alone.columns["voc"])) <= {"Y", "L", "other"}


def test_a_childproject_set_holds_codes_and_is_read_back(output, said, tmp_path):
    done = command("export", output, "--to", "childproject", "-o", tmp_path)
    assert done.code == 0, done.err
    sets = tmp_path / "childproject" / "annotations" / "babyhubert"
    table = rows(sets / "vocal" / "raw" / "a.csv")
    names = {"cry": "Y", "laugh": "L", "": "NA"}
    assert [row["vocal"] for row in table] == [names.get(row["vocal"], row["vocal"]) for row in said["a"]]
    assert content(read_annotations(sets / "vocal" / "raw")["a"], "vocal") == expected(said["a"])
    spoken = rows(sets / "words" / "raw" / "a.csv")
    assert [row["words"] for row in spoken] == [row["phonemes"] or "NA" for row in rows(output / "words" / "a.csv")]
    assert all(int(row["n_words"]) == len(row["words"].split()) for row in spoken if row["words"] != "NA")


def test_measures_count_each_class(output, said):
    done = command("measures", output, "--shuffles", "0")
    assert done.code == 0, done.err
    for row in rows(output / "measures.csv"):
        table = said[row["recording_id"]]
        of = {name: [float(one["duration_s"]) for one in table if one["vocal"] == name] for name in CLASSES}
        total, hours = sum(map(sum, of.values())), float(row["duration_h"])
        for name, lengths in of.items():
            assert int(row[f"vocal_{name}_count"]) == len(lengths)
            assert float(row[f"vocal_{name}_min"]) == pytest.approx(sum(lengths) / 60, abs=6e-5)
            assert float(row[f"vocal_{name}_share"]) == pytest.approx(sum(lengths) / total, abs=6e-5)
            per_hour = float(row[f"vocal_{name}_min_per_hour"])
            assert per_hour == pytest.approx(sum(lengths) / 60 / hours, rel=0.02, abs=1e-3)
        spoken = [one["phonemes"].split() for one in rows(output / "words" / f"{row['recording_id']}.csv")]
        assert int(row["words_utterances"]) == len(spoken)
        assert int(row["words_symbols"]) == sum(map(len, spoken))
        assert row["kcds_min"] == "NA"
    hourly = rows(output / "hourly.csv")
    whole = {row["recording_id"]: row for row in rows(output / "measures.csv")}
    assert all(row["vocal_cry_count"] == whole[row["recording_id"]]["vocal_cry_count"] for row in hourly)


def test_clips_are_collected_with_the_column(output, said, tmp_path):
    clips, reference = tmp_path / "clips", tmp_path / "reference"
    done = command("sample", output, "-o", clips, "--clips", 1, "--length", 20, "--seed", 1)
    assert done.code == 0, done.err
    done = command("sample", "--collect", clips, "-o", reference, "--include-unchanged")
    assert done.code == 0, done.err
    found = {(row["recording_id"], row["label"], row["vocal"]) for row in rows(reference / "rttm_vocalisation.csv")}
    assert found <= {(name, row["label"], row["vocal"]) for name, table in said.items() for row in table}
    assert {value for _, _, value in found} >= {"", "other", "cry"}
    assert not (reference / "rttm_addressee.csv").exists()


def test_shards_are_merged_into_the_same_tables(output, model, sounds, tmp_path):
    out = tmp_path / "out"
    assert command("segment", sounds, "-o", out, "--model", model, "--device", "cpu").code == 0
    for shard in ("1/2", "2/2"):
        arguments = ("classify", sounds, "-o", out, "--model", model, "--task", "vocalisation", "--device", "cpu")
        assert command(*arguments, "--shard", shard).code == 0
    assert [one.command for one in sharded_commands(out)] == ["vocalisation"]
    assert command("merge", out).code == 0
    assert command("status", out).code == 0
    own = ("vocalisation/", "rttm_vocalisation.csv")
    both = [{name: data for name, data in contents(each).items() if name.startswith(own)} for each in (output, out)]
    assert both[0] == both[1]
    runs = [
        json.loads((each / "run.json").read_text(encoding="utf-8"))["also"]["vocalisation"] for each in (output, out)
    ]
    assert runs[0]["task"] == runs[1]["task"]


def test_a_damaged_description_is_one_line(output, tmp_path):
    run = json.loads((output / "run.json").read_text(encoding="utf-8"))
    run["also"]["vocalisation"]["task"]["task"] = "../elsewhere"
    copy = tmp_path / "out"
    (copy / "rttm").mkdir(parents=True)
    (copy / "run.json").write_text(json.dumps(run), encoding="utf-8")
    for arguments in (["measures", copy], ["export", copy, "--to", "eaf"], ["report", copy]):
        done = command(*arguments)
        assert done.code == 2
        assert "run.json" in done.error
        assert "../elsewhere" in done.error


def test_a_damaged_table_is_told_with_the_command_that_makes_it_again(output, model, sounds, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(output, out)
    with (out / "vocalisation" / "a.csv").open("a", encoding="utf-8") as file:
        file.write("a,1.000,1.000,KCHI,cry,1,1,0,0\n")
    done = command("measures", out)
    assert done.code == 1
    assert "babyhubert classify --task vocalisation'" in done.err
    leftover = out / "vocalisation" / "sub" / temporary_beside(Path("b.csv")).name
    leftover.write_text("half", encoding="utf-8")
    arguments = ("classify", sounds, "-o", out, "--model", model, "--task", "vocalisation", "--device", "cpu")
    assert command(*arguments).code == 0
    assert not leftover.exists()
    assert contents(out / "vocalisation") == contents(output / "vocalisation")


@pytest.mark.parametrize("name", ["segment", "csv", "rttm", "words_timed", "two words"])
def test_outputs_of_other_commands_are_not_overwritten(sounds, tmp_path, name):
    own = write_task_model(tmp_path / "model", [], own={name: ("classification", CLASSES)})
    (tmp_path / "given.csv").write_text("uid,start_time_s,duration_s,label\na,0.000,1.000,KCHI\n", encoding="utf-8")
    out = tmp_path / "out"
    done = command("classify", sounds / "a.wav", "-o", out, "--model", own, "--segments", tmp_path / "given.csv")
    assert done.code == 2
    assert name in done.error
    assert not [path for path in tmp_path.rglob("*.csv") if path.name != "given.csv"]


@pytest.mark.parametrize("name", ["values", "type", "train", "../up", "a.b", "", "layer7", "Segment", "3a", "a" * 61])
def test_names_that_cannot_be(name):
    with pytest.raises(ConfigError, match="name"):
        check_name(name)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"column": "label"}, "column label"),
        ({"column": "p_cry"}, "column p_cry"),
        ({"column": "a@b"}, "no name of a column"),
        ({"column": 3}, "column is 3"),
        ({"tier": "voc"}, "end it with @ or _"),
        ({"tier": "xds@"}, "those of addressee"),
        ({"codes": {"sob": "S"}}, "sob, which is no class"),
        ({"codes": {"cry": "other"}}, "both written other"),
        ({"voices": "KCHI"}, "voices is 'KCHI'"),
    ],
)
def test_descriptions_that_cannot_be(card, message):
    with pytest.raises(ConfigError, match=message):
        column_of_task("vocalisation", "classification", CLASSES, card)


def test_a_task_may_fill_the_acts_of_aclew_transcripts():
    card = {"column": "vcm_type", "codes": {"cry": "Y"}}
    own = column_of_task("maturity", "classification", CLASSES, card)
    assert own.tier == "vcm@"
    assert [column.name for column in with_columns([own])] == [column.name for column in COLUMNS]
    assert described(with_columns([own])) == (own,)


def test_columns_of_one_name_are_told_apart():
    one, other = (Column("vocal", "voc@", task, "classification", CLASSES) for task in ("first", "second"))
    addressee = Column("addressee", "addressee@", "third", "classification", CLASSES)
    names = [(column.name, column.tier) for column in with_columns([one, other, addressee])[len(COLUMNS) :]]
    assert names == [("vocal", "voc@"), ("second", "second@"), ("third", "third@")]


def test_measures_of_no_two_classes_share_a_name():
    own = (
        Column("kchi", "k@", "kchi", "classification", ("speech", "segment_mean")),
        Column("a", "a@", "a", "classification", ("b_c", "cry")),
        Column("a_b", "b@", "a_b", "classification", ("c",)),
        Column("phonemes", "w@", "words", "ctc"),
    )
    found = columns(own)
    assert len(found) == len(set(found))
    assert found[: len(columns())] == columns()
    assert len(found) == len(columns()) + 4 * 5 + 3
    assert len(set(measure_names(own).values())) == 6


CODES = st.dictionaries(st.sampled_from(CLASSES), st.sampled_from(["Y", "L", "J", "Ø x", "&"]), max_size=3).filter(
    lambda codes: len(set(codes.values())) == len(codes)
)


@given(
    spans=st.lists(
        st.tuples(
            st.integers(0, 5000),
            st.integers(1, 900),
            st.sampled_from(["KCHI", "OCH", "FEM", "MAL", "SPEECH"]),
            st.sampled_from(["", *CLASSES]),
        ),
        max_size=30,
        unique_by=lambda row: (row[0], row[1], row[2]),
    ),
    codes=CODES,
    tier=st.sampled_from([None, "voc@", "voc_", "vocal_quality@"]),
)
def test_any_table_survives_its_tiers(spans, codes, tier):
    card = {"codes": codes} | ({} if tier is None else {"tier": tier})
    known = with_columns([column_of_task("vocal", "classification", CLASSES, card)])
    start, length, label, value = zip(*spans, strict=True) if spans else ((), (), (), ())
    begin = np.array(start, dtype=np.int64) * 16
    table = Segments(
        begin,
        begin + np.array(length, dtype=np.int64) * 16,
        np.array(label, dtype=object),
        {"vocal": np.array(value, dtype=object)},
    )
    layout = lay_out(table, "a", columns=known)
    written = {piece.text for one in layout.tiers if one.parent for piece in one.pieces}
    assert written == {codes.get(each, each) for each in value if each}
    assert content(segments_of(layout.tiers, known), "vocal") == content(table, "vocal")


@given(
    st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 500), st.sampled_from(["", *CLASSES])), max_size=40),
    st.lists(st.integers(1, 9000), max_size=4, unique=True),
)
def test_hours_of_classes_sum_to_the_recording(spans, inner):
    start, length, value = zip(*spans, strict=True) if spans else ((), (), ())
    begin, values = np.array(start, dtype=np.int64), np.array(value, dtype=object)
    end = np.minimum(begin + np.array(length, dtype=np.int64), 10_000)
    table = Segments(begin, end, np.full(len(begin), "KCHI", dtype=object), {"vocal": values})
    edges = np.array([0, *sorted(inner), 10_000], dtype=np.int64)
    hourly = class_measures(table, "vocal", CLASSES, edges)
    whole = class_measures(table, "vocal", CLASSES, edges[[0, -1]])
    shares = []
    for name in CLASSES:
        assert hourly[name]["count"].sum() == whole[name]["count"][0] == sum(each == name for each in value)
        length_of = sum(int(e - b) for b, e, v in zip(begin, end, values, strict=True) if v == name)
        assert hourly[name]["samples"].sum() == whole[name]["samples"][0] == length_of
        shares.append(whole[name]["share"][0])
    total = sum(int(e - b) for b, e, v in zip(begin, end, values, strict=True) if v)
    assert np.isnan(shares).all() if total == 0 else sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"csv": ""}, "outputs of other commands are called csv"),
        ({"values": ""}, "a head cannot be called values"),
        ({"mood": 'column = "label"'}, "[task.mood]: the column label means something else"),
        ({"mood": 'tier = "mood"'}, "end it with @ or _"),
        ({"mood": 'tier = "xds@"'}, "tiers xds@ are those of addressee"),
        ({"mood": 'codes = { cry = "calm" }'}, "both written calm"),
        ({"mood": 'codes = { sob = "S" }'}, "sob, which is no class"),
        ({"mood": 'tier = "m@"', "state": 'tier = "m@"'}, "mood and state both write tiers m@"),
        ({"mood": "", "state": 'column = "mood"'}, "mood and state both write a column mood"),
    ],
)
def test_configurations_whose_columns_cannot_be(tmp_path, tasks, message):
    tables = [
        f'[task.{name}]\nkind = "classification"\nlabels = ["calm", "cry"]\n{more}\n'
        'data = { train = "a.csv", validation = "b.csv" }\n'
        for name, more in tasks.items()
    ]
    config = tmp_path / "own.toml"
    config.write_text('[model]\nsize = "nano"\n[train]\nsteps = 1\n' + "".join(tables), encoding="utf-8")
    done = command("finetune", config, "-o", tmp_path / "model")
    assert done.code == 2
    assert message in done.error
