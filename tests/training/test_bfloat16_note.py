"""The note about bf16 on a CPU that can only emulate it."""

import pytest
import torch

from babyhubert.training.precision import emulation_note

CPU = torch.device("cpu")


@pytest.fixture
def instructions(monkeypatch):
    """Sets whether an x86 CPU has instructions for bfloat16."""

    def chosen(present: bool) -> None:
        monkeypatch.setattr("platform.machine", lambda: "x86_64")
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: present, raising=False)

    return chosen


def test_only_bf16_on_a_cpu_without_instructions_for_it_is_noted(instructions):
    instructions(False)
    assert "machine.precision=auto" in emulation_note("bf16", CPU)
    assert emulation_note("auto", CPU) == ""
    assert emulation_note("float32", CPU) == ""
    assert emulation_note("bf16", torch.device("cuda")) == ""
    instructions(True)
    assert emulation_note("bf16", CPU) == ""


def test_what_is_not_known_is_not_noted(instructions, monkeypatch):
    instructions(False)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert emulation_note("bf16", CPU) == ""
