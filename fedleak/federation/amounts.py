"""Checks of how many images the clients hold against how many the scenario wants."""

from __future__ import annotations

from collections.abc import Sequence

from fedleak.data.sources.base import DatasetSplits
from fedleak.errors import InputError
from fedleak.federation.model import trains_on_one
from fedleak.scenario.schema import Scenario


def check_amounts(scenario: Scenario, splits: DatasetSplits, held: Sequence[int]) -> None:
    """Check what the clients hold; a client with fewer images than an update takes uses all that it has.

    Args:
        scenario, splits: the scenario and its data.
        held: number of images of each client.

    Raises:
        InputError: if no client holds enough images, if client-level privacy needs the same number of all, or if a
            mini-batch of one image cannot be trained on.
    """
    _check_enough(scenario, held)
    client = scenario.federation.client
    if client.batch_norm == "eval" or trains_on_one(scenario, splits):
        return
    for number, own in enumerate(held):
        images = client.images_per_update(own)
        size = images if client.protocol == "fedsgd" else min(client.batch_size, images)
        if size == 1 or images % size == 1:
            raise InputError(
                "federation.client.batch_size",
                client.batch_size,
                f"client {number} trains on {images} images in mini-batches of {size}; the last holds one image, and "
                f"with batch_norm {client.batch_norm} the model has no statistics of one image. Choose batch_size (or "
                "samples) so that no mini-batch holds a single image, more images for each client, or batch_norm eval",
            )


def _check_enough(scenario: Scenario, held: Sequence[int]) -> None:
    federation = scenario.federation
    client, most = federation.client, max(range(len(held)), key=held.__getitem__)
    wanted = {"batch_size": client.batch_size} if client.protocol == "fedsgd" else {"samples": client.samples}
    wanted |= {"drift.images": client.drift.images} if client.drift is not None else {}
    private = federation.client_level_dp is not None
    for name, count in wanted.items():
        fewest = min(held) if private and name != "drift.images" else held[most]
        if count is not None and count > fewest:
            number = held.index(fewest) if private else most
            reason = "client_level_dp needs the same number from every client" if private else "no client holds more"
            raise InputError(
                f"federation.client.{name}",
                count,
                f"client {number} holds only {fewest} images; at most that many, because {reason}",
            )
