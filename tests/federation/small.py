"""A federation small enough to work out by hand: images of four pixels, two classes, one linear layer of zeros."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedleak.data.sources.base import DatasetSplits, LabelledImages
from fedleak.examples import Normalisation
from fedleak.federation.plan import Plan, PlannedRound, PlannedUpdate
from fedleak.federation.server import Server
from fedleak.federation.streams import Streams
from fedleak.progress import QuietProgress
from fedleak.server.crafting.base import Crafting
from fedleak.stages.federate import write_planned_truth
from fedleak.transcript.writer import TranscriptWriter
from tests.scenarios import scenario

HALF = Normalisation((0.5,), (0.5,))
"""Black is -1 for a network, white is 1."""
CHANGES: dict[str, Any] = {
    "model": {"kind": "mlp", "hidden": []},
    "adversary__injection": {"pairs": 2, "rounds": [1]},
    "attacks": [{"kind": "inverting_gradients", "iterations": 1}],
}
IMAGES = ("++++", "+-+-", "++--")
"""One image of each client: white and black pixels."""
LABELS = (0, 1, 1)
PUBLIC, PUBLIC_LABELS = ("----", "+---"), (1, 0)
LOSS = float(np.log(2))
"""Of any image, while both outputs are zero."""


def pixels(*pictures: str) -> NDArray[np.uint8]:
    """``+-+-`` is a picture of 2x2 pixels; ``(N, 1, 2, 2)``."""
    return np.array([[255 if sign == "+" else 0 for sign in p] for p in pictures], np.uint8).reshape(-1, 1, 2, 2)


def labelled(pictures: tuple[str, ...], labels: tuple[int, ...]) -> LabelledImages:
    """Pictures with their class numbers."""
    return LabelledImages(pixels(*pictures), np.array(labels, np.int64))


def zeros() -> dict[str, Tensor]:
    """The network whose outputs are zero."""
    return {"1.weight": torch.zeros(2, 4), "1.bias": torch.zeros(2)}


def gradient(picture: str, label: int) -> dict[str, Tensor]:
    """Of the cross-entropy where both classes are equally likely: half of the image, off its class and onto the other.

    ``dL/dz = softmax(z) - onehot = (1/2, 1/2) - onehot``, and ``dL/dW`` is its outer product with the image.
    """
    outputs = torch.tensor([-0.5, 0.5] if label == 0 else [0.5, -0.5])
    image = torch.tensor([1.0 if sign == "+" else -1.0 for sign in picture])
    return {"1.weight": torch.outer(outputs, image), "1.bias": outputs}


def mean(*updates: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of several updates."""
    return {name: torch.stack([update[name] for update in updates]).mean(dim=0) for name in updates[0]}


def times(factor: float, update: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every value times ``factor``."""
    return {name: factor * tensor for name, tensor in update.items()}


def check_close(actual: Any, expected: dict[str, Tensor]) -> None:
    """Same names, same values up to rounding."""
    assert set(actual) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, msg=lambda text, name=name: f"{name}: {text}")


def plan(*, rounds: int = 1, **changes: Any) -> Plan:
    """Three clients with an image each; clients 1 and 2 are recorded, client 0 is compromised.

    All pairs are gathered in round 1; one after the other takes the public images 1, 0, 1, 0 and so on.
    """
    checked = scenario(**(CHANGES | {"federation__rounds": rounds} | changes))
    data = labelled(IMAGES, LABELS)
    pairs = checked.adversary.injection.pairs if checked.adversary.injection is not None else 0
    planned = [
        PlannedRound(
            number,
            dict.fromkeys(range(3), number - 1),
            tuple(
                PlannedUpdate(2 * (number - 1) + client - 1, number, client, number - 1, np.array([0]))
                for client in (1, 2)
            ),
            range(pairs if number == 1 else 0),
        )
        for number in range(1, rounds + 1)
    ]
    return Plan(
        scenario=checked,
        splits=DatasetSplits(data, data, ("zero", "one"), HALF),
        public=labelled(PUBLIC, PUBLIC_LABELS),
        clients=tuple(data.take(np.array([client])) for client in range(3)),
        pair_index=np.arange(1, pairs + 1)[:, None] % 2 if pairs else None,
        rounds=tuple(planned),
        streams=Streams("small"),
    )


def server(folder: Path, planned: Plan, crafting: Crafting | None = None) -> Server:
    """A server that is about to broadcast the network of zeros."""
    write_planned_truth(folder / "truth", planned)
    writer = TranscriptWriter(folder / "transcript", "by hand")
    found = Server(planned, writer, folder / "truth", QuietProgress(), crafting=crafting)
    found.model.load_state_dict(zeros())
    writer.allocate(updates=planned.recorded_updates, values=found.layout.size)
    writer.save_public(planned.public.images, planned.public.labels)
    if planned.pair_index is not None:
        writer.allocate_pairs(planned.pair_index, values=found.layout.size, dtype="float32")
    return found
