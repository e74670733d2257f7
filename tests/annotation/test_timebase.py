"""Conversions at the edges are exact on the millisecond grid."""

from hypothesis import given
from hypothesis import strategies as st

from babyhubert.timebase import format_seconds, ms_to_samples, samples_to_ms, samples_to_seconds, seconds_to_samples


@given(st.integers(0, 10**9))
def test_milliseconds_survive_text_and_samples(milliseconds):
    samples = ms_to_samples(milliseconds)
    assert samples_to_ms(samples) == milliseconds
    assert seconds_to_samples(float(format_seconds(samples))) == samples


@given(st.integers(0, 10**10))
def test_seconds_survive(samples):
    assert seconds_to_samples(samples_to_seconds(samples)) == samples
