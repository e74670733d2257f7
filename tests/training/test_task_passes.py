"""Passes task by task give the gradients of the plain sum of losses; on a CUDA device also when they are replayed."""

import pytest
import torch
from tones import addressee_table, phoneme_table, settings, voice_type_table

from babyhubert.material.settings import SkippedMaterial
from babyhubert.training import finetuning
from babyhubert.training.origin import build_model
from babyhubert.training.precision import autocast
from babyhubert.training.task_passes import RecordedPasses, TaskLosses

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_are_those_of_plain_passes(frozen, device, scenes, utterances, encoder, tmp_path):
    where = torch.device(device)
    tables = {
        "voice_type": voice_type_table(scenes),
        "addressee": addressee_table(scenes),
        "phonemes": phoneme_table(utterances),
    }
    model = {"freeze_convolutions": frozen, "encoder_settings": {"hidden_dropout": 0.2, "layer_drop": 0.3}}
    config = settings(encoder, tables, model=model)
    tasks = finetuning._read_tasks(config, list(tables), tmp_path, SkippedMaterial())
    network = build_model(config.model, tasks, seed=0).model
    network.to(where).train()
    losses = TaskLosses(network, tasks)
    passes = RecordedPasses(losses, autocast("float32", where), where)
    for number in range(6):
        passes.gradients.values.zero_()
        torch.manual_seed(number)
        batches = {name: task.batch(number).to(where) for name, task in tasks.items()}
        shares = {name: 0.1 * (number + 1) * (place + 1) / batches[name].weight for place, name in enumerate(tasks)}
        found = [passes(name, batches[name], shares[name]).item() for name in tasks]
        gradients = passes.gradients.values.clone()
        with torch.inference_mode():  # a validation in between
            losses({name: next(iter(task.validation_batches(0, 1))).to(where) for name, task in tasks.items()})
        passes.gradients.values.zero_()
        torch.manual_seed(number)  # the same dropout
        assert found == pytest.approx(backward_at_once(losses, batches, shares), rel=1e-4)
        torch.testing.assert_close(gradients, passes.gradients.values, rtol=1e-3, atol=1e-5)
    assert (passes.graphs > 0) == (device == "cuda")


def backward_at_once(losses, batches, shares):
    """Sums of losses; nothing is left of the autograd graph, whose nodes a recording on another stream would reuse."""
    plain = {name: losses.of(name, batch) for name, batch in batches.items()}
    sum(loss * shares[name] for name, loss in plain.items()).backward()
    return [loss.item() for loss in plain.values()]
