"""The ground truth, hidden from the adversary: the clients' images, and those behind each update.

Written by the federation, read by the clients (their own folder) and by scoring. Attacks never import it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fedleak.errors import InputError
from fedleak.examples import to_unit
from fedleak.records import write_atomically

UPDATES = "updates.json"
MOST_PEERS = 20_000
"""Maximum number of images to compare with."""


@dataclass(frozen=True)
class Truth:
    """The batch behind one update or sum: images ``(B, C, H, W)`` float32 in [0, 1], labels ``(B,)``."""

    images: torch.Tensor
    labels: torch.Tensor
    places: tuple[tuple[int, int], ...] = ()
    """Client and index in the client's batch of each image; empty: the client that sent the update."""


def client_folder(folder: Path, client: int) -> Path:
    """Folder of the private images of a client."""
    return folder / f"{client:05d}"


def write_truth(
    folder: Path,
    *,
    images: Sequence[NDArray[np.uint8]],
    labels: Sequence[NDArray[np.int64]],
    rows: Mapping[int, Mapping[int, Sequence[int]]],
) -> None:
    """Store every client's private images and the indices of the images behind each planned update.

    Args:
        folder: target folder; images of an earlier run are removed.
        images: images of each client, ``(N, C, H, W)``.
        labels: labels of each client, ``(N,)``.
        rows: row of the transcript -> client -> indices of its images; a sum has several clients.
    """
    if (folder / UPDATES).exists():
        (folder / UPDATES).unlink()
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
    for client, (own, classes) in enumerate(zip(images, labels, strict=True)):
        target = client_folder(folder, client)
        target.mkdir(parents=True, exist_ok=True)
        np.save(target / "images.npy", own)
        np.save(target / "labels.npy", classes)
    named = {str(row): {str(client): list(places) for client, places in of.items()} for row, of in rows.items()}
    write_atomically(folder / UPDATES, json.dumps(named))


class TruthReader:
    """Reader of the ground truth of a run.

    Raises:
        InputError: if the run directory has no ground truth.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._rows = json.loads((folder / UPDATES).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError("truth", str(folder), f"the run has no readable ground truth ({error})") from error

    def batch(self, row: int, clients: Sequence[int] = ()) -> Truth:
        """The images and labels behind the update in ``row``.

        Args:
            row: row of the transcript.
            clients: clients included in the sum (default: all planned ones).
        """
        planned = {int(client): images for client, images in self._rows[str(row)].items()}
        parts, places = [], []
        for client in clients or sorted(planned):
            index = np.asarray(planned[client], dtype=np.int64)
            data = client_folder(self._folder, client)
            images = np.load(data / "images.npy", mmap_mode="r", allow_pickle=False)[index]
            labels = np.load(data / "labels.npy", mmap_mode="r", allow_pickle=False)[index]
            parts.append((to_unit(images).numpy(), labels.astype(np.int64)))
            places += [(client, place) for place in range(len(index))]
        both = [torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)]
        return Truth(both[0], both[1], tuple(places))

    def peers(self) -> Truth:
        """At most ``MOST_PEERS`` images of all clients, one of each client in turn: ``(N, C, H, W)`` and ``(N,)``."""
        folders = sorted(path for path in self._folder.iterdir() if path.is_dir())
        images = [np.load(path / "images.npy", mmap_mode="r", allow_pickle=False) for path in folders]
        labels = [np.load(path / "labels.npy", mmap_mode="r", allow_pickle=False) for path in folders]
        order = sorted((i, client) for client, held in enumerate(labels) for i in range(len(held)))[:MOST_PEERS]
        chosen = np.stack([images[client][i] for i, client in order])
        own = np.array([labels[client][i] for i, client in order], dtype=np.int64)
        return Truth(to_unit(chosen), torch.from_numpy(own))
