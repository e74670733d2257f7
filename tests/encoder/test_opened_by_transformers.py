"""Model folders opened by transformers as a user opens them: without arguments, in float32, without alarm."""

import logging

import pytest
import torch
from making import RATE, babble

from babyhubert.encoder.loading import load_encoder
from babyhubert.shipped import SHIPPED_MODELS, shipped_models
from commands import command, write_small_model

transformers = pytest.importorskip("transformers")


def check(folder) -> None:
    model = transformers.AutoModel.from_pretrained(folder).eval()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    inputs = transformers.AutoFeatureExtractor.from_pretrained(folder)(
        babble(2 * RATE, RATE), sampling_rate=RATE, return_tensors="pt"
    )
    with torch.inference_mode():
        theirs = model(**inputs).last_hidden_state
        ours = load_encoder(folder)(torch.from_numpy(babble(2 * RATE, RATE))[None]).last
    torch.testing.assert_close(ours, theirs, atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_run_in_float32(name):
    check(SHIPPED_MODELS / name)


def test_converted_models_run_in_float32_however_they_are_stored(tmp_path):
    source = write_small_model(tmp_path / "small")
    for half in ((), ("--half",)):
        assert command("convert", source, tmp_path / f"copy{len(half)}", *half).code == 0
        check(tmp_path / f"copy{len(half)}")


def test_the_load_report_names_heads_alone(tmp_path, caplog):
    """What README says: lines about heads.*, and none of the encoder's."""
    source = write_small_model(tmp_path / "small")
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        _, info = transformers.AutoModel.from_pretrained(source, output_loading_info=True)
    finally:
        logger.removeHandler(caplog.handler)
    assert not info["missing_keys"]
    assert not info["mismatched_keys"]
    assert set(info["unexpected_keys"]) == {"heads.voice_type.weight", "heads.voice_type.bias"}
    assert "MISSING" not in caplog.text


def test_an_encoder_without_heads_opens_without_a_report(tmp_path, caplog):
    import babyhubert

    source = write_small_model(tmp_path / "small")
    babyhubert.save_model(load_encoder(source), tmp_path / "encoder")
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        check(tmp_path / "encoder")
    finally:
        logger.removeHandler(caplog.handler)
    assert "LOAD REPORT" not in caplog.text
