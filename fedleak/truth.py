"""What the adversary may never see: the clients' images, and which of them went into each update.

Written by the federation, read by the clients (their own folder) and by scoring. Nothing else imports it.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from fedleak.errors import InputError
from fedleak.records import write_atomically

if TYPE_CHECKING:
    from fedleak.federation.plan import Plan

UPDATES = "updates.json"
MOST_PEERS = 20_000
"""Images that are read to compare with, at most."""


@dataclass(frozen=True)
class Truth:
    """The batch behind one update: images ``(B, C, H, W)`` float32 in [0, 1], labels ``(B,)``."""

    images: torch.Tensor
    labels: torch.Tensor


def client_folder(folder: Path, client: int) -> Path:
    """Where the private images of a client lie."""
    return folder / f"{client:05d}"


def write_truth(folder: Path, plan: Plan) -> None:
    """Store every client's private images and the images behind each planned update."""
    if (folder / UPDATES).exists():
        shutil.rmtree(folder)
    for client, data in enumerate(plan.clients):
        target = client_folder(folder, client)
        target.mkdir(parents=True, exist_ok=True)
        np.save(target / "images.npy", data.images)
        np.save(target / "labels.npy", data.labels)
    rows = {
        str(update.row): {"client": update.client, "images": update.images.tolist()}
        for planned in plan.rounds
        for update in planned.updates
    }
    write_atomically(folder / UPDATES, json.dumps(rows))


class TruthReader:
    """The truth of a run.

    Raises:
        InputError: if the run directory holds none (a transcript from elsewhere cannot be scored).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._rows = json.loads((folder / UPDATES).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                "truth", str(folder), f"the run holds no readable truth to score with ({error})"
            ) from error

    def batch(self, row: int) -> Truth:
        """The images and labels behind the update in ``row``."""
        entry = self._rows[str(row)]
        data = client_folder(self._folder, int(entry["client"]))
        index = np.asarray(entry["images"], dtype=np.int64)
        images = np.load(data / "images.npy", mmap_mode="r", allow_pickle=False)[index]
        labels = np.load(data / "labels.npy", mmap_mode="r", allow_pickle=False)[index]
        return Truth(torch.from_numpy(images.astype(np.float32) / 255), torch.from_numpy(labels.astype(np.int64)))

    def peers(self) -> Truth:
        """The images of all clients, one of each client in turn: ``(N, C, H, W)`` and ``(N,)``."""
        folders = sorted(path for path in self._folder.iterdir() if path.is_dir())
        images = [np.load(path / "images.npy", mmap_mode="r", allow_pickle=False) for path in folders]
        labels = [np.load(path / "labels.npy", mmap_mode="r", allow_pickle=False) for path in folders]
        order = sorted((i, client) for client, held in enumerate(labels) for i in range(len(held)))[:MOST_PEERS]
        chosen = np.stack([images[client][i] for i, client in order])
        own = np.array([labels[client][i] for i, client in order], dtype=np.int64)
        return Truth(torch.from_numpy(chosen.astype(np.float32) / 255), torch.from_numpy(own))
