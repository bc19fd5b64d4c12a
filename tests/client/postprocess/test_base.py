from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fedleak import seeds
from fedleak.attacks.base import Attack
from fedleak.client.postprocess.base import PostProcess, apply_steps
from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.client.postprocess.l2_clipping import L2Clipping
from fedleak.client.postprocess.magnitude_pruning import MagnitudePruning
from fedleak.families import kinds
from fedleak.stages.attack.view import View
from fedleak.threat import PostProcessingDetails
from fedleak.transcript.reader import TranscriptReader
from tests.builders import with_required
from tests.scenarios import run_federation, scenario, streams

UPDATE = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([[-4.0]])}


def test_chain_applies_every_step(generator: torch.Generator) -> None:
    """Clipped to norm 1 the update is (0.6, 0), (-0.8); noise comes on top and is not clipped."""
    steps = [L2Clipping(max_norm=1.0), GaussianNoise(std=0.5)]
    noise = torch.Generator().manual_seed(0)
    expected = [0.6 + 0.5 * torch.randn(2, generator=noise)[0], -0.8 + 0.5 * torch.randn(1, 1, generator=noise)[0, 0]]
    result = apply_steps(steps, UPDATE, generator=generator)
    torch.testing.assert_close(torch.stack([result["a"][0], result["b"][0, 0]]), torch.stack(expected))


def test_order_matters(generator: torch.Generator) -> None:
    """Of (3, 4): pruned to (0, 4) and then clipped it is (0, 1); clipped first and then pruned, (0, 0.8)."""
    update = {"a": torch.tensor([3.0, 4.0])}
    prune, clip = MagnitudePruning(rate=0.5), L2Clipping(max_norm=1.0)
    torch.testing.assert_close(apply_steps([prune, clip], update, generator=generator)["a"], torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(apply_steps([clip, prune], update, generator=generator)["a"], torch.tensor([0.0, 0.8]))


def test_an_empty_chain_changes_nothing(generator: torch.Generator) -> None:
    result = apply_steps([], UPDATE, generator=generator)
    assert result == UPDATE
    assert result is not UPDATE


class _Knowing(Attack):
    """Asks for what clients do to their updates."""

    def reconstruct(self, chain: PostProcessingDetails) -> Any:
        return chain


def steps_of(kind: str) -> list[dict[str, Any]]:
    """A chain with the kind in it, and with noise behind it that depends on how many draws were made before."""
    cls = kinds("postprocess")[kind]
    assert issubclass(cls, PostProcess)
    settings = {"layers": ("1.*",)} if "layers" in cls.model_fields else {}
    return [with_required(cls, **settings).model_dump(mode="json"), {"kind": "gaussian_noise", "std": 0.01}]


@pytest.mark.parametrize("kind", [kind for kind in kinds("postprocess") if kind != "soteria"])
def test_the_attackers_replay_gives_the_bytes_that_flower_delivered(tmp_path: Path, kind: str) -> None:
    """The chain as the transcript tells it, on the update as it was before; soteria acts where the images are."""
    open_to_all = {"adversary__level": 3, "adversary__injection": None, "attacks": ["dlg"], "federation__rounds": 1}
    plain = TranscriptReader(run_federation(tmp_path / "plain", scenario(**open_to_all)).transcript)
    changes = open_to_all | {"federation__client__postprocess": steps_of(kind)}
    delivered = TranscriptReader(run_federation(tmp_path / "shared", scenario(**changes)).transcript)
    view = View(delivered, frozenset({"post_processing_details"}), delivered.manifest.updates[0])
    chain = view.capabilities(_Knowing().reconstruct)["chain"]
    assert isinstance(chain, PostProcessingDetails)
    for record in delivered.manifest.updates:
        generator = seeds.torch_generator(
            streams(tmp_path / "shared").client(record.client), "postprocess", "train", 1, 0
        )
        before = plain.manifest.parameters.unflatten(plain.update(record.row))
        after = delivered.manifest.parameters.flatten(apply_steps(chain.steps, before, generator=generator))
        assert after.numpy().tobytes() == delivered.update(record.row).numpy().tobytes()
