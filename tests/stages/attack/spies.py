"""Attacks of a malicious author: each searches one route to the clients' images, and says what it found.

A spy prints ``FOUND`` and what it found, or nothing; fedleak shows what attacks print. It looks for two things that do
not give away what they stand for: the name of the run directory, which it is told backwards, and images of clients, of
which it is told the hash.
"""

from __future__ import annotations

import gc
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from fedleak import seeds
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.threat import GlobalModel, ModelArchitecture, PixelPrior, SharedUpdate

IMAGE = "image "
"""Before the hash of an image; a spy finds its own settings, too."""


def descriptors() -> Iterator[str]:
    """Where open files lead to, of this process and the one that started it."""
    for process in ("self", str(os.getppid())):
        folder = Path(f"/proc/{process}/fd")
        try:
            links = list(folder.iterdir())
        except OSError:
            continue
        for link in links:
            try:
                yield os.readlink(link)
            except OSError:
                continue


def maps() -> Iterator[str]:
    """Files mapped into memory."""
    yield from Path("/proc/self/maps").read_text().splitlines()


def objects() -> Iterator[str]:
    """Memory maps, arrays and paths among all objects."""
    for value in gc.get_objects():
        if isinstance(value, np.memmap):
            yield str(value.filename)
        if isinstance(value, np.ndarray):
            yield from images_in(value)
        elif isinstance(value, Path):
            yield str(value)


def images_in(value: np.ndarray[Any, Any]) -> Iterator[str]:
    """Hashes of the images of an array, if it may hold any."""
    if value.ndim == 4 and value.dtype == np.uint8:
        yield from (IMAGE + image_hash(image) for image in value)


def image_hash(image: np.ndarray[Any, Any]) -> str:
    """A name of an image ``(C, H, W)``."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def frames() -> Iterator[str]:
    """Local and global variables of every caller."""
    frame = sys._getframe()
    while frame is not None:
        for value in (*frame.f_locals.values(), *frame.f_globals.values()):
            if isinstance(value, str | Path | list | dict | tuple) or "fedleak" in type(value).__module__:
                yield f"{value!r} {getattr(value, '__dict__', '')!r}"[:10_000]
        frame = frame.f_back  # type: ignore[assignment]


def strings() -> Iterator[str]:
    """Every text that the garbage collector can reach."""
    for value in gc.get_objects():
        for part in gc.get_referents(value):
            if isinstance(part, str):
                yield part


def modules() -> Iterator[str]:
    """Modules that have seen the clients' data, and what they keep."""
    client = sys.modules.get("fedleak.federation.node_data")
    values: list[Any] = [client._arrays] if client is not None else []
    for _ in range(6):
        values = [inner for value in values for inner in gc.get_referents(value) if not isinstance(inner, type | dict)]
        yield from (value for value in values if isinstance(value, str))
        yield from (str(value.filename) for value in values if isinstance(value, np.memmap))


def process() -> Iterator[str]:
    """Arguments, environment and folders of this process."""
    yield from (*sys.argv, *sys.orig_argv, *sys.path, os.getcwd(), *os.environ.values())
    yield Path("/proc/self/cmdline").read_text()
    yield Path("/proc/self/environ").read_text()


def caches() -> Iterator[str]:
    """Files of the caches, and of the folders of temporary files."""
    for root in (os.environ["FEDLEAK_CACHE"], os.environ.get("TMPDIR", ""), os.getcwd()):
        for path in Path(root).rglob("*.npy") if root else ():
            yield str(path)
            yield from images_in(np.load(path, mmap_mode="r"))


def parent() -> Iterator[str]:
    """The folder and the open files of the process that started this one."""
    for name in ("cwd", "root", "fd/0", "fd/1", "fd/3"):
        try:
            yield os.readlink(f"/proc/{os.getppid()}/{name}")
        except OSError:
            continue


def disk() -> Iterator[str]:
    """Files of clients' images below the folders that runs of tests are in, opened and not only listed."""
    for path in Path("/").glob("tmp/pytest-of-*/pytest-*/*/*/truth/*/images.npy"):
        yield from images_in(np.load(path))


ROUTES: dict[str, Callable[[], Iterator[str]]] = {
    route.__name__: route
    for route in (descriptors, maps, objects, frames, strings, modules, process, caches, parent, disk)
}


class Spy(Attack):
    """Follows one route.

    Attributes:
        route: its name.
        eman: the name of the run directory, backwards.
        hashes: of clients' images.
    """

    kind: Literal["spy"] = "spy"
    route: str
    eman: str
    hashes: tuple[str, ...]

    def reconstruct(self, update: SharedUpdate, prior: PixelPrior, *, generator: torch.Generator) -> Reconstruction:
        """A grey image, after a search."""
        for found in ROUTES[self.route]():
            if self.eman in found[::-1] or (found.startswith(IMAGE) and found[len(IMAGE) :] in self.hashes):
                print("FOUND", self.route, found[:300])  # noqa: T201 - fedleak shows what attacks print
                break
        return Reconstruction(torch.full((1, 3, 8, 8), 0.5))


class SeedSearch(Attack):
    """Tries seeds against its generator and the initial model, and subtracts the noise that they lead to."""

    kind: Literal["seed_search"] = "seed_search"
    most: int = 40
    std: float

    def reconstruct(
        self,
        update: SharedUpdate,
        architecture: ModelArchitecture,
        model: GlobalModel,
        prior: PixelPrior,
        *,
        generator: torch.Generator,
    ) -> Reconstruction:
        """A grey image, after a search."""
        given = generator.initial_seed()
        names = [("attack", self.attack_stream, update.round, update.client), ("attack", "spy", 1, 1)]
        for seed in range(self.most):
            built = architecture.build(seed=seeds.derive(seed, "model")).state_dict()
            if all(torch.equal(built[name], tensor) for name, tensor in model.state.items()):
                print("SEED from the model", seed)  # noqa: T201
                self._denoise(update, seed)
            if any(seeds.derive(seed, *name) == given for name in names):
                print("FOUND the seed of the generator", seed)  # noqa: T201
        return Reconstruction(torch.full((1, 3, 8, 8), 0.5))

    def _denoise(self, update: SharedUpdate, seed: int) -> None:
        """Print the rest of the update after each noise that the seed leads to; real noise leaves far less."""
        roots: list[Any] = [seed, seeds.key(seed, "client", update.client), seeds.key(seed, "adversary")]
        for root in roots:
            for name in (("postprocess", "train", update.client, 1, 0), ("postprocess", "train", 1, 0)):
                draws = seeds.torch_generator(root, *name)
                rest = [
                    tensor - self.std * torch.empty(tensor.shape).normal_(generator=draws)
                    for tensor in update.tensors.values()
                ]
                level = float(torch.cat([tensor.flatten() for tensor in rest]).square().mean().sqrt())
                if level < self.std:
                    print("FOUND the noise", level)  # noqa: T201


class Dies(Attack):
    """Ends its process at the second update."""

    kind: Literal["dies"] = "dies"
    how: Literal["kill", "exit", "segfault"]

    def reconstruct(self, update: SharedUpdate, prior: PixelPrior, *, generator: torch.Generator) -> Reconstruction:
        """A grey image, or the end."""
        if update.client == 2:
            print("last words")  # noqa: T201
            sys.stdout.flush()
            if self.how == "kill":
                os.kill(os.getpid(), 9)
            if self.how == "segfault":
                os.kill(os.getpid(), 11)
            os._exit(7)
        return Reconstruction(torch.full((1, 3, 8, 8), 0.5))


class Vandal(Attack):
    """Writes into the transcript that it was given."""

    kind: Literal["vandal"] = "vandal"

    def reconstruct(self, update: SharedUpdate, prior: PixelPrior, *, generator: torch.Generator) -> Reconstruction:
        """A grey image, after the damage."""
        path = Path.cwd() / "transcript/updates.npy"
        with path.open("r+b") as file:
            file.seek(-4, os.SEEK_END)
            file.write(b"\0\0\0\0")
        os.utime(path, ns=(0, 0))
        return Reconstruction(torch.full((1, 3, 8, 8), 0.5))
