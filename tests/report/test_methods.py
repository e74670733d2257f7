"""``babyhubert methods``: sentences that say what was recorded, in every format, and citations that are known."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from results_folders import write_run

from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.report.citations import PAPERS, citations_of
from commands import command, write_sounds

ROWS = [(0, 32_000, "KCHI"), (48_000, 80_000, "FEM")]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "out"
    write_run(folder, {"a": ROWS, "b": ROWS}, 1800, failures=[("c.wav", "no audio")])
    return folder


def edited(folder: Path, change) -> None:
    content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    change(content)
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")


def methods(folder: Path, *options: object) -> str:
    result = command("methods", folder, *options)
    assert result.code == 0, result.err
    return result.out


def test_a_run_without_evaluation_says_what_it_did_and_what_is_missing(run):
    text = methods(run)
    for told in (
        "2 recordings with 1.00 hours of audio were processed on cpu with babyhubert 0.1.0",
        "1 recording could not be processed and is not included.",
        "the model coml/VTC-2 (Charlot et al., 2025)",
        "Its terms: CC BY-NC 4.0.",
        "KCHI 0.437, OCH 0.378, MAL 0.429, FEM 0.377",
        "0" * 64,
        "the accuracy of the model on recordings like these",
    ):
        assert told in text
    assert (run / "methods.txt").read_text(encoding="utf-8") in text
    assert not (run / "methods.tex").exists()
    bibliography = (run / "references.bib").read_text(encoding="utf-8")
    assert "2509.15001" in bibliography
    assert "2603.05213" not in bibliography  # nothing was recognised


def test_evaluation_agreement_and_measures_are_found_beside_the_run(run, tmp_path):
    for name, shift in (("truth", 4_000), ("other", 9_000)):
        for recording in "ab":
            rows = [(start + shift, end, label) for start, end, label in ROWS]
            write_rttm(tmp_path / name / f"{recording}.rttm", recording, Segments.from_rows(rows))
    options = ("--reference", tmp_path / "truth", "--predictions", run, "-o", run / "accuracy", "--bootstrap", 20)
    assert command("evaluate", "voice-type", *options).code == 0
    sides = ("--first", tmp_path / "truth", "--second", tmp_path / "other")
    assert command("evaluate", "agreement", *sides, "-o", run / "people", "--bootstrap", 20).code == 0
    assert command("measures", run, "--shuffles", 0, "--vocalisation-gap", 250).code == 0
    text = methods(run)
    scored = json.loads((run / "accuracy/evaluation.json").read_text(encoding="utf-8"))
    people = json.loads((run / "people/evaluation.json").read_text(encoding="utf-8"))
    kappa, alpha = people["kappa"]["mean"]["kappa"], people["alpha"]["mean"]["alpha"]
    for told in (
        f"The mean F1 over classes was {100 * scored['mean']['f1']:.1f} %",
        f"Cohen's kappa, mean over classes, was {kappa:.2f}",
        f"Krippendorff's alpha was {alpha:.2f}",
        "ICC(2,1)",
        "Two annotations (truth and other)",
        "less than 250 ms apart",
        "from 20 resamples over recordings",
    ):
        assert told in text
    assert "To add by hand" not in text
    chosen = methods(run, "--evaluation", run / "accuracy", "-o", tmp_path / "one")
    assert "Cohen" not in chosen
    elsewhere = tmp_path / "copy"
    shutil.copytree(run, elsewhere)
    assert "not in this folder; check that they are the same" in methods(elsewhere)


def test_estimates_are_told_with_their_paper(run):
    rows = [
        {"level": "all", "measure": "kchi_speech_min", "recordings": 2, "clips": 8, "annotated_min": 8.0}
        | {"machine": 12.0, "corrected": 10.5, "low": 8.0, "high": 13.25},
        {"level": "all", "measure": "mal_speech_min", "recordings": 2, "clips": 8, "machine": 1.0, "corrected": None},
    ]
    (run / "estimate").mkdir()
    content = {"estimates": rows, "rates": [], "confidence": 0.95, "reference": "/x/people", "run": str(run)}
    (run / "estimate/estimate.json").write_text(json.dumps(content), encoding="utf-8")
    text = methods(run)
    assert "corrected by 8 clips (8.0 minutes) that people annotated" in text
    assert "prediction-powered inference (Angelopoulos et al., 2023)" in text
    assert re.search(r"kchi_speech_min +12\.0 +10\.5 +8\.0 +13\.2", text)
    assert "1 measure without an estimate" in text


def test_two_models_are_never_told_as_one(run):
    def change(content):
        for record, sha in zip(content["recordings"], ("1" * 64, "2" * 64), strict=True):
            record["made_with"] = {"model": f"model-{sha[0]}", "sha256": sha, "babyhubert": "0.1.0"}

    edited(run, change)
    (run / "measures.json").write_text("{", encoding="utf-8")
    text = methods(run)
    assert f"{run / 'measures.json'} is damaged" in text
    assert "The recordings were not processed alike: 1 recording with model model-1" in text
    assert "2" * 64 in text


def test_other_thresholds_in_one_folder_are_a_caution(small_model, tmp_path):
    audio, out = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"], seconds=2), tmp_path / "out"
    for name, chosen in (("a", "f1"), ("b", "high-precision")):
        options = ("--model", small_model, "--thresholds", chosen, "--overlap", 0)
        assert command("segment", audio / f"{name}.wav", "-o", out, *options).code == 0
    text = methods(out)
    assert "Mixed results: results of 'segment' were made with 2 sets of settings that differ in thresholds" in text
    assert "set high-precision" in text
    assert f"the paper of the model {small_model}: nothing that was recorded names one" in text


def test_tasks_have_their_own_models_and_papers(run):
    def change(content):
        card = {"lineage": ["BabyHuBERT", "BabAR"]}
        model = {"source": "/models/said.ckpt", "sha256": "3" * 64, "card": card}
        content["also"] = {"phonemes": {"command": "phonemes", "model": model, "settings": {"speed": "fast"}}}

    edited(run, change)
    text = methods(run)
    assert (
        "Phonemes of the key child were recognised by the model /models/said.ckpt (Charlot et al., 2025; Lavechin"
        in text
    )
    assert "the terms of the model /models/said.ckpt: its card names none" in text
    assert "2603.05213" in (run / "references.bib").read_text(encoding="utf-8")


def test_markdown_and_latex_hold_the_same_and_escape_what_they_must(run, tmp_path):
    edited(run, lambda content: content["model"].update(source="a_b|c{d}&e"))
    methods(run, "--format", "markdown", "--format", "latex", "-o", tmp_path / "paper")
    markdown = (tmp_path / "paper/methods.md").read_text(encoding="utf-8")
    assert r"the model a\_b\|c{d}&e (Charlot et al., 2025)" in markdown
    assert "| --- | --- | --- |" in markdown
    latex = (tmp_path / "paper/methods.tex").read_text(encoding="utf-8")
    assert r"the model a\_b|c\{d\}\&e~\cite{charlot2025babyhubert}" in latex
    bibliography = (tmp_path / "paper/references.bib").read_text(encoding="utf-8")
    cited = {key for group in re.findall(r"\\cite\{([^}]*)\}", latex) for key in group.split(",")}
    assert cited == set(re.findall(r"^@\w+\{(\w+),", bibliography, re.MULTILINE))
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == 1


def test_foreign_folders_and_files_are_refused(run, tmp_path):
    assert "holds no run.json" in command("methods", tmp_path).error
    assert "no such folder" in command("methods", tmp_path / "nowhere").error
    (tmp_path / "x.json").write_text('{"a": 1}', encoding="utf-8")
    refused = command("methods", run, "--evaluation", tmp_path / "x.json").error
    assert "neither an evaluation nor an estimate" in refused
    assert "no evaluation or estimate here" in command("methods", run, "--evaluation", tmp_path).error
    edited(run, lambda content: content.update(command="embed", recordings=[]))
    shutil.rmtree(run / "csv")
    shutil.rmtree(run / "rttm")
    assert "holds results of 'embed' and no voice types" in command("methods", run).error


def test_papers_are_told_by_cards_and_hub_names_alone():
    known = {one.key for one in citations_of({"source": "coml/VTC-2@91167f6"})}
    assert known == {"charlot2025babyhubert"}
    assert citations_of({"source": "/home/babyhubert/babar/model"}) == ()
    lineage = {"source": "x", "card": {"lineage": ["units of iteration 1: 500 clusters of WavLM-base-plus layer 7"]}}
    assert [one.key for one in citations_of(lineage)] == ["chen2022wavlm"]


def test_the_documentation_names_the_same_papers():
    text = " ".join((ROOT / "docs/citing.md").read_text(encoding="utf-8").split())
    for paper in PAPERS[:3]:
        assert paper.key in text
        assert paper.title in text
        assert dict(paper.fields)["eprint"] in text
