"""Tables of real corpora: read as they are, and perfect against themselves."""

from __future__ import annotations

from babyhubert.tasks.addressee.evaluation import evaluate_addressee, read_addressees
from babyhubert.tasks.phonemes.evaluation import score_phonemes
from babyhubert.tasks.phonemes.tables import pair_transcriptions, read_transcriptions


def test_addressees_of_simulated_days(corpora):
    truth = read_addressees(corpora / "playroom/segments.csv")
    same = evaluate_addressee(truth, truth)
    assert same.segments == "same"
    assert same.utterances is not None
    assert same.utterances.macro[2] == 1
    assert same.utterances.confusion.sum() > 500
    time = evaluate_addressee(truth, truth, segments="predicted").time
    assert time is not None
    assert time.macro_f1 == 1


def test_phones_of_read_utterances(corpora):
    truth = read_transcriptions(corpora / "utterances/utterances.csv")[:400]
    report = score_phonemes(pair_transcriptions(truth, truth), by=["voice"])
    assert report.rate == 0
    assert report.totals[0] > 3_000
    assert report.unit == "speaker_id"
    assert "aɪ" in report.outside["reference"]
    silent = score_phonemes(pair_transcriptions(truth, []))
    assert silent.rate == 1
    assert 0.5 < silent.baselines[0].rate < 1
