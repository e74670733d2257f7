"""Reading ahead changes when items are made, nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.audio.prefetch import prefetch, side_by_side


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def wait_until(condition: object) -> bool:
    for _ in range(200):
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


@settings(max_examples=30, deadline=None)
@given(items=st.lists(st.integers(), max_size=30), depth=st.integers(1, 5))
def test_same_items_same_order(items: list[int], depth: int) -> None:
    assert list(prefetch(iter(items), depth)) == items
    assert not threads()


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("disk gone")

    ahead = prefetch(items(), depth=1)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(OSError, match="disk gone"):
        next(ahead)
    assert not threads()


def test_an_error_of_making_the_iterator() -> None:
    with pytest.raises(TypeError):
        list(prefetch(5))  # type: ignore[arg-type]


def test_runs_ahead_but_only_so_far() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for index in range(100):
            made.append(index)
            yield index

    ahead = prefetch(items(), depth=3)
    assert next(ahead) == 0
    assert wait_until(lambda: len(made) >= 5)
    time.sleep(0.1)
    assert len(made) == 5  # one taken, three waiting, one in hand
    ahead.close()
    assert not threads()


@pytest.mark.parametrize("how", ["close", "abandon"])
def test_stopping_early_ends_the_thread_and_closes_the_source(how: str) -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    ahead = prefetch(items(), depth=2)
    next(ahead)
    if how == "close":
        ahead.close()
    del ahead
    assert closed.is_set()
    assert not threads()


def test_never_started_costs_nothing() -> None:
    ahead = prefetch(iter([1]))
    assert not threads()
    del ahead


def test_depth_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        prefetch([], depth=0)


@settings(max_examples=30, deadline=None)
@given(sources=st.lists(st.lists(st.integers(), max_size=8), max_size=8), together=st.integers(1, 4))
def test_several_sources_give_their_items_in_order(sources: list[list[int]], together: int) -> None:
    assert [list(items) for items in side_by_side(map(iter, sources), together)] == sources
    assert not threads()


def test_the_next_sources_are_read_while_the_first_is() -> None:
    def wait_for_the_others() -> Iterator[int]:
        yield 0
        everybody.wait(timeout=10)  # breaks unless three sources are read at once
        yield 1

    everybody = threading.Barrier(3)
    assert [list(items) for items in side_by_side((wait_for_the_others() for _ in range(6)), 3)] == [[0, 1]] * 6


def test_closing_it_ends_all_threads() -> None:
    sources = side_by_side((iter(range(100)) for _ in range(5)), 3, depth=1)
    assert next(next(sources)) == 0
    assert len(threads()) == 3
    sources.close()
    assert wait_until(lambda: not threads())
