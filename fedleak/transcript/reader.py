"""Reading a finished transcript."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from fedleak.errors import InputError
from fedleak.examples import kind_of
from fedleak.transcript.manifest import Manifest, file_digest, load_manifest
from fedleak.transcript.rows import RowFile
from fedleak.transcript.writer import model_file, sent_file, statistics_file


class TranscriptReader:
    """A finished transcript, verified when it is opened.

    Args:
        folder: ``transcript/`` of a run.
        verify: recompute and compare every checksum.

    Raises:
        InputError: if the transcript is missing, foreign or damaged, or names a file outside its folder.
    """

    def __init__(self, folder: Path, *, verify: bool = True) -> None:
        self.folder = folder
        self.manifest: Manifest = load_manifest(folder)
        for name, digest in self.manifest.checksums.items():
            path = self._inside(name)
            if not path.is_file():
                raise InputError("transcript", name, "the file is missing")
            if verify and file_digest(path) != digest:
                raise InputError("transcript", name, "its checksum does not match; the file is damaged")
        self._check_arrays()

    def _check_arrays(self) -> None:
        """Check the shapes and types of the arrays against the manifest."""
        manifest, values = self.manifest, self.manifest.parameters.size
        rows = max((update.row + 1 for update in manifest.updates), default=0)
        self._expect("updates.npy", (rows, values), "float32")
        for update in manifest.updates:
            self._checked(model_file(update.model_version))
            self._checked(model_file(update.current_version))
        for version in manifest.pairs.model_versions if manifest.pairs is not None else ():
            self._checked(model_file(version))
        if manifest.pairs is not None:
            self._expect("pairs/updates.npy", (manifest.pairs.count, values), "float32", "float16")
            self._expect("pairs/index.npy", (manifest.pairs.count, manifest.pairs.images_per_pair), "int64")
            public, index = self._rows("public/images.npy"), self.pair_index()
            if index.size and not 0 <= index.min() <= index.max() < len(public):
                raise InputError("transcript", "pairs/index.npy", f"there are only {len(public)} public images")
        if self.has_public_images:
            count = len(self._rows("public/images.npy"))
            self._expect("public/images.npy", (count, *manifest.input_shape), kind_of(manifest.input_shape).stored.name)
            self._expect("public/labels.npy", (count,), "int64")
            labels = np.load(self._checked("public/labels.npy"), allow_pickle=False)
            if labels.size and not 0 <= labels.min() <= labels.max() < manifest.classes:
                raise InputError("transcript", "public/labels.npy", f"labels are 0 to {manifest.classes - 1}")

    def _expect(self, name: str, shape: tuple[int, ...], *dtypes: str) -> None:
        rows = self._rows(name)
        if rows.shape != shape or rows.dtype.name not in dtypes:
            raise InputError(
                "transcript",
                name,
                f"expected {' or '.join(dtypes)} of shape {shape}, found {rows.dtype.name} of {rows.shape}",
            )

    def _rows(self, name: str) -> RowFile:
        path = self._checked(name)
        try:
            return RowFile(path)
        except InputError as error:
            raise InputError("transcript", name, error.allowed) from error

    def _inside(self, name: str) -> Path:
        if "\0" in name:
            raise InputError("transcript", name, "not a file name")
        path = Path(os.path.realpath(self.folder / name))  # unlike ``resolve`` it ends for a loop of links
        if not path.is_relative_to(os.path.realpath(self.folder)):
            raise InputError("transcript", name, "a file must be inside the transcript")
        return path

    def _checked(self, name: str) -> Path:
        if name not in self.manifest.checksums:
            raise InputError("transcript", name, "the file is not part of the transcript")
        return self._inside(name)

    @cached_property
    def _updates(self) -> RowFile:
        return self._rows("updates.npy")

    def update(self, row: int) -> torch.Tensor:
        """Read one shared update, flat ``(D,)`` float32."""
        return torch.from_numpy(self._updates.read(np.array([row])).astype(np.float32)[0])

    def model(self, version: int) -> dict[str, torch.Tensor]:
        """Parameters and buffers of the global model after ``version`` rounds."""
        return self._tensors(model_file(version))

    def sent(self, round_number: int, client: int) -> dict[str, torch.Tensor] | None:
        """The model sent to a client in a round; None if it was the broadcast model."""
        name = sent_file(round_number, client)
        return self._tensors(name) if name in self.manifest.checksums else None

    def statistics(self, row: int) -> dict[str, torch.Tensor]:
        """``LAYER.mean`` and ``LAYER.var`` of an update's batch; empty if none were recorded."""
        name = statistics_file(row)
        return self._tensors(name) if name in self.manifest.checksums else {}

    def _tensors(self, name: str) -> dict[str, torch.Tensor]:
        path = self._checked(name)
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError("transcript", name, f"not a safetensors file ({error})") from error

    def shapes(self, name: str) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor in a safetensors file of the transcript; the tensors are not read."""
        path = self._checked(name)
        try:
            with safe_open(path, framework="pt") as file:
                return {tensor: tuple(file.get_slice(tensor).get_shape()) for tensor in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise InputError("transcript", name, f"not a safetensors file ({error})") from error

    @property
    def has_public_images(self) -> bool:
        """Whether the adversary has public images."""
        return "public/images.npy" in self.manifest.checksums

    def public(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The adversary's public images ``(N, C, H, W)`` and labels ``(N,)``."""
        images = np.load(self._checked("public/images.npy"), allow_pickle=False)
        labels = np.load(self._checked("public/labels.npy"), allow_pickle=False)
        return images, labels

    def pair_updates(self) -> RowFile:
        """The updates of the injected pairs, ``(P, D)``."""
        return self._rows("pairs/updates.npy")

    def pair_index(self) -> NDArray[np.int64]:
        """Indices of the public images in each pair, ``(P, B)``."""
        index: NDArray[np.int64] = np.load(self._checked("pairs/index.npy"), allow_pickle=False)
        return index
