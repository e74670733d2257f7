"""Arrays that grow on disk are ordinary .npy files in the end, or nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyhubert.errors import OutputError
from babyhubert.frame_store import FrameWriter

KINDS = st.sampled_from(["f2", "f4", "i2"])


@given(sizes=st.lists(st.integers(0, 50), max_size=6), width=st.integers(1, 5), kind=KINDS)
def test_written_rows_are_read_back(tmp_path_factory, sizes, width, kind):
    path = tmp_path_factory.mktemp("npy") / "sub" / "x.npy"
    parts = [np.arange(n * width, dtype=kind).reshape(n, width) for n in sizes]
    with FrameWriter(path, kind) as writer:
        for part in parts:
            writer.append(part)
        assert not path.exists()
        writer.finish((width,))
    loaded = np.load(path, mmap_mode="r") if sum(sizes) else np.load(path)
    assert np.array_equal(loaded, np.concatenate([np.empty((0, width), dtype=kind), *parts]))
    assert loaded.dtype == np.dtype(kind)


def test_an_abandoned_file_leaves_nothing(tmp_path):
    with FrameWriter(tmp_path / "x.npy", "f4") as writer:
        writer.append(np.zeros((3, 2)))
    assert list(tmp_path.iterdir()) == []


def test_rows_must_agree(tmp_path):
    with FrameWriter(tmp_path / "x.npy", "f4") as writer:
        writer.append(np.zeros((3, 2)))
        with pytest.raises(ValueError, match="do not fit"):
            writer.append(np.zeros((3, 3)))


def test_a_file_where_the_folder_should_be_is_one_clear_error(tmp_path):
    (tmp_path / "taken").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="taken"):
        FrameWriter(tmp_path / "taken" / "x.npy", "f4")
