from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from fedleak.attacks.generative.acceleration import AccelerationSettings, accelerated
from fedleak.attacks.generative.git_coarse import GitCoarse
from fedleak.progress import QuietProgress
from tests.builders import architecture, injected_pairs

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("settings", "device", "lower", "compiled"),
    [
        ({}, CPU, False, False),
        ({}, CUDA, True, True),
        ({"precision": "float32", "compile": False}, CUDA, False, False),
        ({"precision": "bfloat16", "compile": True}, CPU, True, True),
    ],
)
def test_auto_means_on_cuda(settings: dict[str, object], device: torch.device, lower: bool, compiled: bool) -> None:
    chosen = AccelerationSettings.model_validate(settings)
    assert chosen.lowers_precision(device) is lower
    assert chosen.compiles(device) is compiled


def test_on_a_cpu_the_network_itself_is_trained() -> None:
    network = nn.Linear(3, 2)
    assert accelerated(network, AccelerationSettings(), CPU) is network


def test_lower_precision_rounds_and_gives_float32() -> None:
    torch.manual_seed(0)
    network, features = nn.Linear(64, 2), torch.randn(5, 64)
    wrapped = accelerated(network, AccelerationSettings(precision="bfloat16"), CPU)
    exact, rounded = network(features), wrapped(features)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, atol=0.05, rtol=0.05)
    assert next(wrapped.parameters()) is next(network.parameters())


def test_a_generator_trained_in_lower_precision_is_kept_under_its_own_names(tmp_path: Path) -> None:
    pairs, settings = injected_pairs(tmp_path, architecture(), pairs=24), {"epochs": 2, "batch_size": 8}
    for precision in ("float32", "bfloat16"):
        attack = GitCoarse.model_validate(
            {"parameters": 20_000, "training": settings, "acceleration": {"precision": precision}}
        )
        generator = torch.Generator().manual_seed(0)
        artefact = attack.fit(pairs, architecture(), generator=generator, progress=QuietProgress(), device=CPU)
        attack.restore(artefact, architecture(), device=CPU)
        assert all(not name.startswith("network.") for name in artefact.parameters)
