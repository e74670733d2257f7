"""What a model hears at once: published defaults, what a card says, what several heads share."""

from __future__ import annotations

import pytest

from babyhubert.encoder.context import PUBLISHED_WINDOW_SETTINGS, WindowSettings, window_settings_of
from babyhubert.encoder.flavours.layout import PUBLISHED_KINDS
from babyhubert.errors import CheckpointError


def kinds(*tasks):
    return {task: PUBLISHED_KINDS[task] for task in tasks}


def test_one_head_listens_as_published_unless_its_card_says_otherwise():
    assert window_settings_of({}, kinds("addressee")) == {"addressee": WindowSettings(10.0, 0.5)}
    assert window_settings_of({}, kinds("voice_type")) == {"voice_type": PUBLISHED_WINDOW_SETTINGS["frames"]}
    card = {"phonemes": {"context_s": 8.0, "normalise": True, "labels_file": "ours.txt"}, "window_s": 4.0}
    assert window_settings_of(card, kinds("phonemes")) == {"phonemes": WindowSettings(8.0, 0.5, normalise=True)}


def test_several_heads_share_the_longest_context():
    found = window_settings_of({"addressee": {"context_s": 12.0}}, kinds("voice_type", "addressee"))
    assert set(found.values()) == {WindowSettings(12.0, 0.5, shared=True)}
    card = {"shared": {"context_s": 15.0, "overlap": 0.25}}
    assert set(window_settings_of(card, kinds("voice_type", "phonemes")).values()) == {
        WindowSettings(15.0, 0.25, shared=True)
    }


def test_heads_that_disagree_on_normalisation_share_nothing():
    found = window_settings_of({"phonemes": {"normalise": True}}, kinds("voice_type", "phonemes"))
    assert not any(window_settings.shared for window_settings in found.values())
    assert found["phonemes"] == WindowSettings(20.0, 0.5, normalise=True)


@pytest.mark.parametrize(
    "card",
    [
        {"addressee": 10},
        {"addressee": {"context_s": "ten"}},
        {"addressee": {"overlap": float("nan")}},
        {"addressee": {"normalise": 1}},
        {"addressee": {"context_s": True}},
    ],
)
def test_impossible_cards_are_refused(card):
    with pytest.raises(CheckpointError, match=r"task\.json: .*addressee"):
        window_settings_of(card, kinds("addressee"))
