"""The evaluate command as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.cli.evaluate import app
from babyhubert.errors import AnnotationError, BabyHubertError, ConfigError
from babyhubert.evaluation.probe_sounds import PROBES
from babyhubert.tasks.voice_type.robustness import speakers_of
from commands import write_sounds


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Three reference recordings, the predictions of two; one sub-folder."""
    for name, end in (("a", 160_000), ("b", 80_000), ("c", 16_000)):
        write_rttm(tmp_path / f"truth/{name}.rttm", name, Segments.from_rows([(0, end, "KCHI"), (0, end, "FEM")]))
    for name in ("a", "b"):
        write_rttm(tmp_path / f"out/rttm/day/{name}.rttm", name, Segments.from_rows([(0, 80_000, "KCHI")]))
    return tmp_path / "truth", tmp_path / "out"


def run(*arguments: str | Path):
    return CliRunner().invoke(app, ["voice-type", *map(str, arguments)])


def test_scores_to_the_terminal_and_to_files(folders, tmp_path):
    truth, predicted = folders
    result = run("--reference", truth, "--predictions", predicted, "-o", tmp_path / "scores", "--bootstrap", "50")
    assert result.exit_code == 0, result.output
    for expected in ("KCHI", "F1 %", "95 % interval", "76.9", "mean", "counted as silent: c", "evaluation.json"):
        assert expected in result.output
    content = json.loads((tmp_path / "scores/evaluation.json").read_text(encoding="utf-8"))
    assert content["classes"]["KCHI"]["f1"] == pytest.approx(2 * 10 / 26)
    assert content["bootstrap"] == {"over": "recordings", "resamples": 50, "confidence": 0.95}
    assert (tmp_path / "scores/fscore.csv").read_text(encoding="utf-8").splitlines()[-1].startswith("TOTAL,0.76923,")


def test_annotated_stretches_beside_the_reference_count_alone(folders, tmp_path):
    """A folder that `sample --collect` wrote has them; what nobody annotated there is no silence."""
    truth, predicted = folders
    options = ("--reference", truth, "--predictions", predicted, "--bootstrap", "0")
    whole = run(*options, "--labels", "KCHI")
    assert "76.9" in whole.output
    (truth / "annotated.uem").write_text("a 1 0 5\n", encoding="utf-8")
    limited = run(*options, "--labels", "KCHI")
    assert "100.0" in limited.output
    assert "only the annotated stretches of" in limited.output
    given = run(*options, "--labels", "KCHI", "--uem", truth / "annotated.uem")
    assert "100.0" in given.output
    assert "only the annotated" not in given.output


def test_labels_uem_and_no_bootstrap(folders, tmp_path):
    truth, predicted = folders
    (tmp_path / "some.uem").write_text("a 1 0 5\n", encoding="utf-8")
    options = ("--uem", tmp_path / "some.uem", "--labels", "KCHI", "--bootstrap", "0")
    result = run("--reference", truth, "--predictions", predicted, *options)
    assert result.exit_code == 0, result.output
    assert "100.0" in result.output
    assert "OCH" not in result.output
    assert "interval" not in result.output.split("note")[0]


def test_groups_of_recordings(folders, tmp_path):
    truth, predicted = folders
    (tmp_path / "r.csv").write_text("recording_id,child_id\na,c1\nb,c2\nc,c1\n", encoding="utf-8")
    options = ("--recordings", tmp_path / "r.csv", "--by", "child_id", "--over", "child_id", "-o", tmp_path / "scores")
    result = run("--reference", truth, "--predictions", predicted, *options)
    assert result.exit_code == 0, result.output
    assert "child_id c1" in result.output
    content = json.loads((tmp_path / "scores/evaluation.json").read_text(encoding="utf-8"))
    assert content["bootstrap"]["over"] == "child_id"
    assert [group["recordings"] for group in content["groups"]] == [2, 1]
    result = run("--reference", truth, "--predictions", predicted, "--by", "child_id")
    assert isinstance(result.exception, ConfigError)
    assert "--recordings" in str(result.exception)


def test_classes_on_neither_side_of_a_group_are_told(folders, tmp_path):
    truth, predicted = folders
    write_rttm(truth / "d.rttm", "d", Segments.from_rows([(0, 16_000, "OCH")]))
    (tmp_path / "r.csv").write_text("recording_id,corpus\na,x\nb,x\nc,x\nd,y\n", encoding="utf-8")
    options = ("--recordings", tmp_path / "r.csv", "--by", "corpus", "--labels", "KCHI,OCH,FEM")
    result = run("--reference", truth, "--predictions", predicted, *options, "-o", tmp_path / "scores")
    assert result.exit_code == 0, result.output
    (note,) = (line for line in result.output.splitlines() if "on neither side in a group" in line)
    assert note.endswith("so not in its mean: corpus x (OCH), corpus y (KCHI, FEM)")
    content = json.loads((tmp_path / "scores/evaluation.json").read_text(encoding="utf-8"))
    assert [group["empty_classes"] for group in content["groups"]] == [["OCH"], ["KCHI", "FEM"]]
    assert content["empty_classes"] == []
    whole = run("--reference", truth, "--predictions", predicted, *options, "--labels", "KCHI")
    assert "corpus x" in whole.output
    assert "corpus y (KCHI)" in whole.output
    assert "corpus x (" not in whole.output


def test_the_same_seed_gives_the_same_files(folders, tmp_path):
    truth, predicted = folders
    for name in ("first", "second"):
        run("--reference", truth, "--predictions", predicted, "-o", tmp_path / name, "--seed", "3")
    first, second = (tmp_path / name / "evaluation.json" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_a_wrong_path_is_named(folders):
    truth, _ = folders
    result = run("--reference", truth, "--predictions", truth / "nowhere")
    assert isinstance(result.exception, AnnotationError)
    assert "nowhere" in str(result.exception)


def test_voice_type_is_a_subcommand_and_help_gives_defaults():
    assert "voice-type" in CliRunner().invoke(app, ["--help"]).output
    text = run("--help").output
    assert "2000" in text
    assert "KCHI,OCH,MAL,FEM" in text


class TestPhonemes:
    def test_a_run_over_a_folder_as_phonemes_writes_it(self, tmp_path):
        (tmp_path / "truth.csv").write_text(
            "recording_id,start_s,end_s,label,child_id,phones\n"
            "x,0,1,KCHI,c1,m a m a\nx,2,3,KCHI,c1,b a ?\nx,3,4,FEM,c1,h ɛ l o\ny,0,1,KCHI,c2,d a\n",
            encoding="utf-8",
        )
        (tmp_path / "out/phonemes").mkdir(parents=True)
        header = "filename,onset,offset,speaker,phonemes\n"
        rows = "x,0.000,1.000,KCHI,m a a\nx,2.000,3.000,KCHI,b a\n"
        (tmp_path / "out/phonemes/x.csv").write_text(header + rows, encoding="utf-8")
        (tmp_path / "out/phonemes/y.csv").write_text(header, encoding="utf-8")
        arguments = ["--reference", tmp_path / "truth.csv", "--predictions", tmp_path / "out", "--by", "child_id"]
        result = CliRunner().invoke(app, ["phonemes", *map(str, arguments), "-o", str(tmp_path / "scores")])
        assert result.exit_code == 0, result.output
        for expected in ("PER %", "50.0", "child_id c1", "best constant answer", "unknown phones", "other speakers"):
            assert expected in result.output
        content = json.loads((tmp_path / "scores/evaluation.json").read_text(encoding="utf-8"))
        assert content["deletions"] == 3
        assert content["bootstrap"]["over"] == "child_id"

    def test_a_reference_with_empty_transcripts_is_told_or_refused(self, tmp_path):
        header, empty = "utterance_id,phones\n", "y,\n"
        (tmp_path / "said.csv").write_text(header + "x,m a\ny,b a\n", encoding="utf-8")
        (tmp_path / "truth.csv").write_text(header + "x,m a\n" + empty, encoding="utf-8")
        (tmp_path / "empty.csv").write_text(header + "x,\n" + empty, encoding="utf-8")

        def scored(reference):
            paths = ["--reference", str(tmp_path / reference), "--predictions", str(tmp_path / "said.csv")]
            return CliRunner().invoke(app, ["phonemes", *paths])

        told = scored("truth.csv")
        assert told.exit_code == 0, told.output
        assert "note: 1 reference utterances have no phones: all that is predicted there counts as" in told.output
        refused = scored("empty.csv")
        assert isinstance(refused.exception, AnnotationError)
        assert "none of the 2 reference utterances to score has phones" in str(refused.exception)

    def test_help_names_the_layouts(self):
        text = CliRunner().invoke(app, ["phonemes", "--help"]).output
        assert "utterance_id" in text
        assert "KCHI" in text


class TestAddressee:
    @pytest.fixture
    def tables(self, tmp_path) -> tuple[Path, Path]:
        (tmp_path / "truth.csv").write_text(
            "recording_id,start_s,end_s,label,speaker_id,addressee\n"
            "x,0,1,FEM,w,KCDS\nx,2,3,MAL,m,ADS\nx,4,5,KCHI,k,\ny,0,1,FEM,w,OCDS\n",
            encoding="utf-8",
        )
        (tmp_path / "rttm_addressee.csv").write_text(
            "uid,start_time_s,duration_s,label,addressee\n"
            "x,0.000,1.000,FEM,KCDS\nx,2.000,1.000,MAL,KCDS\nx,4.000,1.000,KCHI,\ny,0.000,1.000,FEM,Other\n",
            encoding="utf-8",
        )
        return tmp_path / "truth.csv", tmp_path / "rttm_addressee.csv"

    def test_utterances_or_time(self, tables, tmp_path):
        truth, said = tables
        base = ["addressee", "--reference", str(truth), "--predictions", str(said)]
        result = CliRunner().invoke(app, [*base, "-o", str(tmp_path / "scores")])
        assert result.exit_code == 0, result.output
        for expected in ("Addressee by utterance", "66.7", "Other", "same segments on both sides (as found)"):
            assert expected in result.output
        content = json.loads((tmp_path / "scores/evaluation.json").read_text(encoding="utf-8"))
        assert content["confusion"]["ADS"] == {"ADS": 0, "KCDS": 1, "Other": 0, "none": 0}
        result = CliRunner().invoke(app, [*base, "--segments", "predicted"])
        assert "Addressee by time" in result.output
        assert "(as asked" in result.output

    @pytest.mark.parametrize(
        ("options", "advice"),
        [
            (
                ("--labels", "ADS,KCDS"),
                "score it too with --labels ADS,KCDS,Other, or rewrite it as one of these with",
            ),
            (("--labels", "ADS,KCDS,OCDS"), "keep it as it is with --map OCDS=OCDS"),
            (("--map", "OCDS=other"), "rewrite it with --map OCDS=Other"),
        ],
    )
    def test_advice_on_an_addressee_that_is_no_class(self, tables, tmp_path, options, advice):
        truth, _ = tables
        base = ["addressee", "--reference", str(truth), "--predictions", str(truth)]
        refused = CliRunner().invoke(app, [*base, *options])
        assert isinstance(refused.exception, AnnotationError)
        assert advice in str(refused.exception)

    def test_advice_that_is_followed_works(self, tables):
        truth, _ = tables
        base = ["addressee", "--reference", str(truth), "--predictions", str(truth)]
        for options in (("--labels", "ADS,KCDS,Other"), ("--labels", "ADS,KCDS", "--map", "OCDS=ADS")):
            assert CliRunner().invoke(app, [*base, *options]).exit_code == 0
        kept = CliRunner().invoke(app, [*base, "--labels", "ADS,KCDS,OCDS", "--map", "OCDS=OCDS"])
        assert kept.exit_code == 0, kept.output
        assert "OCDS" in kept.output

    def test_a_map_of_a_class_that_nobody_has_is_told(self, tables):
        truth, _ = tables
        base = ["addressee", "--reference", str(truth), "--predictions", str(truth)]
        plain, known, unknown = (
            CliRunner().invoke(app, [*base, *options])
            for options in ((), ("--map", "OCDS=Other"), ("--map", "ocds=Other"))
        )
        assert unknown.exit_code == 0, unknown.output
        assert "--map ocds=Other: neither side has the addressee 'ocds'" in unknown.output
        assert "neither side" not in plain.output + known.output

    def test_a_map_needs_two_names(self, tables):
        truth, said = tables
        arguments = ["addressee", "--reference", str(truth), "--predictions", str(said), "--map", "OCDS"]
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, ConfigError)
        assert "FROM=TO" in str(result.exception)


def test_agreement_of_two_annotators(folders, tmp_path):
    first, second = folders
    arguments = ["agreement", "--first", first, "--second", second, "--bootstrap", "20", "-o", tmp_path / "both"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    for expected in ("kappa", "80.0", "whole", "alpha", "not annotated by the second, left out: c", "agreement.csv"):
        assert expected in result.output


class TestRobustness:
    def test_a_real_model_on_a_scene_and_on_a_recording(self, small_model, tmp_path):
        audio = write_sounds(tmp_path, ["a.wav"], seconds=7) / "a.wav"
        options = ["--model", str(small_model), "--minutes", "0.1", "--overlap", "0", "-o", str(tmp_path / "out")]
        for given, name in ((["--recording", str(audio)], "a.wav"), ([], "simulated scene")):
            result = CliRunner().invoke(app, ["robustness", *options, *given])
            assert result.exit_code == 0, result.output
            for expected in ("False alarms", "pink noise", "3.98 s (a hop)", "borders", name):
                assert expected in result.output
            content = json.loads((tmp_path / "out/evaluation.json").read_text(encoding="utf-8"))
            assert content["hop_frames"] == 199
            assert (
                len((tmp_path / "out/false_alarms.csv").read_text(encoding="utf-8").splitlines())
                == 1 + len(PROBES) * 4
            )

    def test_recorded_sounds_and_near_voices_join_the_made_up_ones(self, small_model, tmp_path):
        write_sounds(tmp_path / "sounds", ["dog/a.wav", "dog/b.wav", "rain/c.wav", "loose.wav"], seconds=1)
        write_sounds(tmp_path / "people", ["x.wav", "y.wav"], seconds=2)
        table = tmp_path / "people" / "utterances.csv"
        rows = ["path,speaker_id,voice,duration_s,phones", "x.wav,x,MAL,2,", "y.wav,y,FEM,2,"]
        table.write_text("\n".join(rows) + "\n", encoding="utf-8")
        given = ["--sounds", str(tmp_path / "sounds"), "--utterances", str(table)]
        options = ["--model", str(small_model), "--minutes", "0.1", "--overlap", "0", "-o", str(tmp_path / "out")]
        result = CliRunner().invoke(app, ["robustness", *options, *given])
        assert result.exit_code == 0, result.output
        content = json.loads((tmp_path / "out/evaluation.json").read_text(encoding="utf-8"))
        for kind in ("dog", "rain", "sounds"):
            assert {kind, f"{kind}, in a day"} <= set(content["false_alarms"])
        assert content["false_alarms"]["dog"]["seconds"] == pytest.approx(2.37, abs=0.01)
        assert set(content["near_voices"]) == {"MAL", "FEM"}
        assert content["near_voices"]["MAL"]["speakers"] == 1
        assert "Voices at the microphone" in result.output
        shares = (tmp_path / "out/near_voices.csv").read_text(encoding="utf-8").splitlines()
        assert [line.split(",")[:2] for line in shares[1::4]] == [["FEM", "1"], ["MAL", "1"]]
        missing = CliRunner().invoke(app, ["robustness", *options, "--sounds", str(tmp_path / "nothing")])
        assert "nothing" in str(missing.exception)

    def test_near_voices_of_a_table_with_times(self, small_model, tmp_path):
        write_sounds(tmp_path, ["x.wav", "y.wav"], seconds=5)
        table = tmp_path / "segments.csv"
        rows = ["recording_id,start_s,end_s,label,speaker_id", "x,0.5,1.5,MAL,m", "x,2,3,KCHI,c", "y,1,2.5,MAL,m"]
        table.write_text("\n".join([*rows, "y,3,4,MAL,other", "y,4,4.5,SPEECH,"]) + "\n", encoding="utf-8")
        people = speakers_of(table)
        assert list(people) == ["CHI", "MAL"]
        assert [[(one.start, one.end) for one in who] for who in people["MAL"]] == [
            [(8000, 24000), (16000, 40000)],
            [(48000, 64000)],
        ]
        options = ["--model", str(small_model), "--minutes", "0.1", "--overlap", "0", "-o", str(tmp_path / "out")]
        result = CliRunner().invoke(app, ["robustness", *options, "--utterances", str(table)])
        assert result.exit_code == 0, result.output
        content = json.loads((tmp_path / "out/evaluation.json").read_text(encoding="utf-8"))["near_voices"]
        assert content["MAL"]["speakers"] == 2
        assert 1.5 < content["MAL"]["seconds"] <= 3.5
        table.write_text("recording_id,start_s,end_s,label\nx,0,1,SPEECH\n", encoding="utf-8")
        with pytest.raises(AnnotationError, match=r"no row has one of the voices CHI, KCHI"):
            speakers_of(table)

    def test_windows_are_those_that_segment_gives_the_model(self, small_model, tmp_path):
        model = Path(shutil.copytree(small_model, tmp_path / "model"))
        card = json.loads((model / "task.json").read_text(encoding="utf-8"))
        (model / "task.json").write_text(json.dumps(card | {"voice_type": {"context_s": 2.0}}), encoding="utf-8")
        arguments = ["robustness", "--model", str(model), "--minutes", "0.1", "-o", str(tmp_path / "out")]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        content = json.loads((tmp_path / "out/evaluation.json").read_text(encoding="utf-8"))
        assert content["hop_frames"] == 25

    def test_what_cannot_be_tested_is_refused(self, small_model, tmp_path):
        audio = write_sounds(tmp_path, ["a.wav"], seconds=2) / "a.wav"
        base = ["robustness", "--model", str(small_model), "--minutes", "0.1", "--overlap", "0"]
        for given, message in (
            (["--recording", str(audio)], "too short; more than 3.98 s"),
            (["--minutes", "0"], "--minutes 0.0"),
            (["--level", "3"], "--level 3.0"),
        ):
            result = CliRunner().invoke(app, [*base, *given])
            assert isinstance(result.exception, BabyHubertError)
            assert message in str(result.exception)
