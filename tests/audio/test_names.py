"""The one rule by which an id names a recording of a list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyhubert.audio.names import RecordingNames, match_names, rttm_uri, spellings
from babyhubert.errors import AnnotationError, CorpusError

FOUR = ("a/day", "b/day", "c", "d/c")


@pytest.mark.parametrize(
    ("ids", "name", "fewer", "fewer_or_more", "other"),
    [
        # the very id, whatever else it could mean
        (FOUR, "a/day", ["a/day"], ["a/day"], ["a/day"]),
        (FOUR, "c", ["c"], ["c"], ["c"]),
        (("my day", "my_day"), "my_day", ["my_day"], ["my_day"], ["my_day"]),
        # spelled alike in an RTTM, or by another system
        (("x", "my day"), "my_day", ["my day"], ["my day"], ["my day"]),
        (("x", "my_day"), "my day", ["my_day"], ["my_day"], ["my_day"]),
        (("my day", "my\tday"), "my_day", ["my day", "my\tday"], ["my day", "my\tday"], ["my day", "my\tday"]),
        (("Zo\u00e9",), "Zoe\u0301", ["Zo\u00e9"], ["Zo\u00e9"], ["Zo\u00e9"]),
        (("sub/day",), "sub\\day", ["sub/day"], ["sub/day"], ["sub/day"]),
        # fewer folders than the id
        (("raw/sub/day",), "sub/day", ["raw/sub/day"], ["raw/sub/day"], ["raw/sub/day"]),
        (("raw/sub/my day",), "my_day", ["raw/sub/my day"], ["raw/sub/my day"], ["raw/sub/my day"]),
        (FOUR, "day", ["a/day", "b/day"], ["a/day", "b/day"], ["a/day", "b/day"]),
        (FOUR, "ay", [], [], []),
        (("raw/sub/day",), "raw/day", [], [], ["raw/sub/day"]),
        # more folders than the id: the longest first
        (FOUR, "raw/b/day", [], ["b/day"], ["b/day"]),
        (FOUR, "x/d/c", [], ["d/c"], ["d/c"]),
        (FOUR, "x/c", [], ["c"], ["c"]),
        # other folders
        (("a/day", "c"), "x/day", [], [], ["a/day"]),
        (FOUR, "x/day", [], [], ["a/day", "b/day"]),
        (FOUR, "x/ay", [], [], []),
        ((), "x", [], [], []),
    ],
)
def test_what_a_name_means(ids, name, fewer, fewer_or_more, other):
    for folders, meant in (("fewer", fewer), ("fewer or more", fewer_or_more), ("other", other)):
        names = RecordingNames(((one, number) for number, one in enumerate(ids)), folders)
        assert list(names.ids(name)) == meant, folders
        assert names.candidates(name) == [ids.index(one) for one in meant]
        assert names.find(name) == (ids.index(meant[0]) if len(meant) == 1 else None)


def test_two_names_of_one_recording_and_one_name_of_two_are_refused():
    names = RecordingNames([("a/day", 1), ("b/day", 2), ("c", 3)])
    assert names.find_each(["x/c", "b/day", "else"], "list.csv") == {"x/c": 3, "b/day": 2}
    with pytest.raises(AnnotationError, match=r"list\.csv: 'x/c' and 'c' both mean the recording 'c'; keep one"):
        names.find_each(["x/c", "c"], "list.csv")
    with pytest.raises(CorpusError, match=r"list\.csv: 'day' may mean a/day, b/day; write the complete id"):
        names.find_each(["day"], "list.csv", CorpusError)


@pytest.mark.parametrize(
    ("reference", "prediction", "matched"),
    [
        (["a/day"], ["a/day"], {}),
        (["a/day"], ["b/day"], {"b/day": "a/day"}),
        (["a/my day"], ["out/my_day"], {"out/my_day": "a/my day"}),
        (["a/day", "b/day"], ["day"], {}),
        (["day"], ["a/day", "b/day"], {}),
        (["a/day", "b/day"], ["raw/a/day", "raw/b/day"], {"raw/a/day": "a/day", "raw/b/day": "b/day"}),
        (["a/day", "b/day"], ["a/day", "day"], {"day": "b/day"}),
        (["day"], [], {}),
    ],
)
def test_predictions_are_those_of_the_one_reference_that_they_can_mean(reference, prediction, matched):
    assert match_names(reference, prediction) == matched


parts = st.lists(st.sampled_from(["a", "b", "a b", "a_b"]), min_size=1, max_size=3).map("/".join)


@given(st.lists(parts, unique=True, max_size=6), parts)
def test_a_wider_rule_finds_no_other_recording(ids, name):
    """Every id finds itself; a rule that goes further only adds names that meant nothing."""
    fewer, either, other = (
        RecordingNames(((one, one) for one in ids), folders) for folders in ("fewer", "fewer or more", "other")
    )
    assert all(names.find(one) == one for names in (fewer, either, other) for one in ids)
    for narrow, wide in ((fewer, either), (either, other)):
        assert not narrow.ids(name) or list(narrow.ids(name)) == list(wide.ids(name))
    assert all(one.split("/")[-1].replace(" ", "_") == rttm_uri(name).split("/")[-1] for one in other.ids(name))
    assert spellings(name) == (name, name.replace(" ", "_"))
