"""Keeps what a Flower client trains on, for audits of simulations that may see the truth.

Copied into the environment of an app together with ``recorder.py``; torch is the app's own and imported late.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from .recorder import check_here, is_training, load_app, plain, save_arrays

SEEN = "seen"
"""Folder of the recording."""
MOST_IMAGES = 65_536
"""Images of one client in one round; of a client that trains on more, none are kept."""


class RecordedClientApp(ClientApp):
    """A client app that runs another one, and keeps the batches that its network sees while it trains.

    Args:
        reference: ``module:attribute`` of the app.
        folder: of the recording, absolute; only a simulation has it on the machine of the clients.
    """

    def __init__(self, reference: str, folder: str) -> None:
        super().__init__()
        self._inner, self._folder = load_app(reference, ClientApp), folder

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer as the app does."""
        answer: Callable[[Message, Context], Message] = self._inner
        if not is_training(message):
            return answer(message, context)
        check_here(self._folder, "client")
        batches = SeenBatches()
        with BatchWatcher(batches) as watcher:
            reply = answer(message, context)
        about = {
            "message": message.metadata.message_id,
            "partition": context.node_config.get("partition-id"),
            "optimizer": watcher.optimizer,
            "training_mode": watcher.training_mode,
        }
        batches.save(Path(self._folder, SEEN), about)
        return reply


class SeenBatches:
    """The distinct images of one local training, their labels, and which of them each batch held.

    Attributes:
        note: why there are no images, if there are none.
    """

    def __init__(self) -> None:
        self.note = ""
        self._places: dict[bytes, int] = {}
        self._images: list[np.ndarray[Any, Any]] = []
        self._labels: list[int] = []
        self._batches: list[list[int]] = []

    def add(self, images: np.ndarray[Any, Any]) -> None:
        """Add a batch ``(N, ...)`` of float32."""
        if self.note:
            return None
        if self._images and images.shape[1:] != self._images[0].shape:
            return self._give_up(f"it was called with inputs of {self._images[0].shape} and of {images.shape[1:]}")
        if len(self._images) + len(images) > MOST_IMAGES:
            return self._give_up(f"a client trained on more than {MOST_IMAGES} images in one round")
        batch = []
        for image in images:
            place = self._places.setdefault(hashlib.sha256(image.tobytes()).digest(), len(self._images))
            if place == len(self._images):
                self._images.append(image.copy())
                self._labels.append(-1)
            batch.append(place)
        self._batches.append(batch)
        return None

    def _give_up(self, note: str) -> None:
        self.__init__()  # type: ignore[misc]
        self.note = note

    def label(self, labels: list[int]) -> None:
        """Take these as the labels of the last batch, if there are as many."""
        if self._batches and len(labels) == len(self._batches[-1]):
            for place, label in zip(self._batches[-1], labels, strict=True):
                self._labels[place] = label

    def save(self, folder: Path, about: dict[str, Any]) -> None:
        """Store all, under a name made from the id of the message."""
        folder.mkdir(exist_ok=True)
        name = hashlib.sha256(str(about["message"]).encode()).hexdigest()[:32]
        note = self.note or ("" if self._images else "no network was called with gradients switched on")
        save_arrays(
            folder / f"{name}.npz",
            images=np.stack(self._images) if self._images else np.zeros((0,), np.float32),
            labels=np.array(self._labels, np.int64),
            order=np.array([place for batch in self._batches for place in batch], np.int64),
            sizes=np.array([len(batch) for batch in self._batches], np.int64),
        )
        (folder / f"{name}.json").write_text(json.dumps(about | {"note": note}), encoding="utf-8")


class BatchWatcher:
    """Notes the inputs of the outermost network that is called with gradients switched on, and the labels of its loss.

    A context manager around a local training; it adds torch's global hooks and changes no number.

    Attributes:
        optimizer: class and settings of the first optimiser that takes a step, and the number of steps.
        training_mode: whether the network was in training mode; None if there was no network.
    """

    def __init__(self, batches: SeenBatches) -> None:
        self.optimizer: dict[str, Any] = {}
        self.training_mode: bool | None = None
        self._batches, self._depth, self._stack = batches, 0, ExitStack()
        self._thread = threading.get_ident()

    def __enter__(self) -> BatchWatcher:
        import torch
        from torch.nn.modules import module as hooks

        self._torch: Any = torch
        steps = importlib.import_module("torch.optim.optimizer")  # no attribute of torch.optim in every version
        self._stack.callback(hooks.register_module_forward_pre_hook(self._before).remove)
        self._stack.callback(hooks.register_module_forward_hook(self._after, always_call=True).remove)
        watch_steps = getattr(steps, "register_optimizer_step_pre_hook", None)
        if watch_steps is not None:
            self._stack.callback(watch_steps(self._step).remove)
        for name in ("cross_entropy", "nll_loss"):
            self._watch_loss(name)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _watch_loss(self, name: str) -> None:
        functional = self._torch.nn.functional
        loss = getattr(functional, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            self._target(named.get("target", arguments[1] if len(arguments) > 1 else None))
            return loss(*arguments, **named)

        setattr(functional, name, watched)
        self._stack.callback(setattr, functional, name, loss)

    def _before(self, module: Any, arguments: tuple[Any, ...]) -> None:
        if threading.get_ident() != self._thread:
            return
        if isinstance(module, self._torch.nn.modules.loss._Loss) and len(arguments) > 1:
            self._target(arguments[1])
        outermost = self._depth == 0 and self._torch.is_grad_enabled()
        self._depth += 1
        if outermost and any(parameter.requires_grad for parameter in module.parameters()):
            self.training_mode = bool(module.training)
            self._note(arguments)

    def _after(self, module: Any, arguments: Any, outputs: Any) -> None:
        if threading.get_ident() == self._thread:
            self._depth -= 1

    def _note(self, arguments: tuple[Any, ...]) -> None:
        first = arguments[0] if arguments else None
        if not isinstance(first, self._torch.Tensor) or first.ndim < 2:
            self._batches.note = self._batches.note or "the network's first argument is no batch of tensors"
            return
        self._batches.add(np.ascontiguousarray(first.detach().cpu().float().numpy()))
        for further in arguments[1:]:
            self._target(further)

    def _target(self, target: Any) -> None:
        if isinstance(target, self._torch.Tensor) and target.ndim == 1 and not target.is_floating_point():
            self._batches.label(target.tolist())

    def _step(self, optimizer: Any, arguments: Any, named: Any) -> None:
        if not self.optimizer:
            settings = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
            simple = {key: value for key, value in settings.items() if isinstance(value, (int, float))}
            self.optimizer = {"kind": type(optimizer).__name__, "steps": 0} | plain(simple)
        self.optimizer["steps"] += 1
