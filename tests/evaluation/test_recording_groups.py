"""Groups of recordings score as if they were alone; children are resampled as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.evaluation.detection import compare
from babyhubert.evaluation.presentation import as_json, group_table
from babyhubert.evaluation.recording_groups import GroupedScoring
from babyhubert.evaluation.recording_table import NOT_LISTED, column_of, read_recording_table


def corpus(recordings: int = 12):
    rng = np.random.default_rng(0)
    reference, prediction = {}, {}
    for name in (f"r{n:02d}" for n in range(recordings)):
        spans = [(int(a), int(a + 16_000), str(rng.choice(["KCHI", "FEM"]))) for a in rng.integers(0, 10**6, 20)]
        reference[name] = Segments.from_rows(spans)
        prediction[name] = Segments.from_rows([(a + int(rng.integers(0, 9000)), b + 5000, c) for a, b, c in spans])
    return reference, prediction


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "recordings.csv"
    rows = "".join(f"day/r{n:02d}.wav,c{n % 3},{36 - n % 2}\n" for n in range(11))
    path.write_text("recording_filename,child_id,age\n" + rows, encoding="utf-8")
    return path


def test_a_group_scores_as_if_it_were_alone(table):
    reference, prediction = corpus()
    report = compare(reference, prediction)
    scoring = GroupedScoring.read(report, table, None)
    groups = scoring.groups("age", np.random.default_rng(0), 50, 0.95)
    assert [(group.group, group.recordings) for group in groups] == [("36", 6), ("35", 5), (NOT_LISTED, 1)]
    odd = [f"r{n:02d}" for n in range(1, 11, 2)]
    alone = compare({uri: reference[uri] for uri in odd}, prediction)
    found = next(group for group in groups if group.group == "35")
    np.testing.assert_allclose(found.scores[[0, 3]], alone.scores[[0, 3]])
    assert np.isnan(found.scores[1]).all()
    assert found.macro[2] == pytest.approx(alone.macro_f1)
    assert found.intervals is not None
    assert found.intervals.macro[2, 0] <= found.macro[2] <= found.intervals.macro[2, 1]
    assert group_table(report, groups).row_count == 3
    content = as_json(report, None, groups)["groups"]
    assert [group["group"] for group in content] == [group.group for group in groups]


def test_children_are_drawn_as_a_whole(table):
    reference, prediction = corpus(11)
    report = compare(reference, prediction)
    children = GroupedScoring.read(report, table, "child_id")
    found = children.intervals(np.random.default_rng(0), 500, 0.95)
    assert found is not None
    assert found.units == 3
    merged = [report.counts[k::3].sum(axis=0) for k in range(3)]
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(3, np.full(3, 1 / 3), size=500) @ np.stack(merged).reshape(3, -1)
    hit, wrong, missed = drawn.reshape(500, 4, 3)[:, 0].T
    np.testing.assert_allclose(found.classes[0, 2], np.percentile(2 * hit / (2 * hit + wrong + missed), [2.5, 97.5]))
    plain = GroupedScoring.read(report, None, None).intervals(np.random.default_rng(0), 500, 0.95)
    assert plain is not None
    assert plain.units == 11
    assert children.intervals(np.random.default_rng(0), 0, 0.95) is None


def test_bad_tables_and_columns_are_named(table, tmp_path):
    rows = read_recording_table(table)
    assert next(iter(rows)) == "day/r00"
    with pytest.raises(ConfigError, match="no column 'corpus' in the table of recordings; it has recording_filename"):
        column_of(rows, ["r00"], "corpus")
    with pytest.raises(ConfigError, match="names none of those that are scored: it has day/r00, they are x"):
        column_of(rows, ["x"], "age")
    other = tmp_path / "other.csv"
    for text, message in (
        ("a,b\n1,2\n", "recording_id or recording_filename"),
        ("recording_id,b\n", "no rows"),
        ("recording_id,b\nx,1\nx,2\n", "line 3: x occurs twice"),
    ):
        other.write_text(text, encoding="utf-8")
        with pytest.raises(AnnotationError, match=message):
            read_recording_table(other)
