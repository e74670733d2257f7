"""Parts of a run: together everything, each recording once, whatever the order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyhubert.errors import ConfigError
from babyhubert.runs.shard import Shard

LENGTHS = st.dictionaries(st.text(min_size=1, max_size=5), st.integers(0, 10**9), max_size=30)


@given(LENGTHS, st.integers(1, 7), st.randoms())
def test_parts_share_everything_evenly_and_whatever_the_order(
    lengths: dict[str, int], parts: int, order: random.Random
):
    shares = [Shard(parts, number).share(lengths) for number in range(1, parts + 1)]
    assert sorted(name for share in shares for name in share) == sorted(lengths)
    loads = [sum(lengths[name] for name in share) for share in shares]
    assert max(loads) - min(loads) <= max(lengths.values(), default=0)
    shuffled = list(lengths.items())
    order.shuffle(shuffled)
    assert [Shard(parts, number).share(dict(shuffled)) for number in range(1, parts + 1)] == shares


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/0", "-1/2", "1/2/3", "1.5/2"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ConfigError, match="I/N"):
        Shard.parse(text)


def test_a_part_is_written_as_it_is_read():
    assert str(Shard.parse("2/4")) == "2/4"


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 5), max_size=12), st.integers(1, 30))
def test_shards_beyond_the_recordings_are_idle_and_all_others_share_everything(lengths, parts):
    shares = [Shard(parts, number).share(lengths) for number in range(1, parts + 1)]
    assert sorted(name for share in shares for name in share) == sorted(lengths)
    assert all(not share for share in shares[len(lengths) :])


@pytest.mark.parametrize("text", ["1/99999999", "1/100001", "1/" + "9" * 5000, "9" * 5000 + "/1"])
def test_absurd_numbers_of_shards_are_refused_at_once(text):
    with pytest.raises(ConfigError, match=r"at most 100000 shards|write it as I/N") as caught:
        Shard.parse(text)
    assert len(str(caught.value)) < 200
