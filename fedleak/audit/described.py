"""The scenario of a federation that was observed: what is known of it, an honest server, passive attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from fedleak.audit.observed import ObservedFederation
from fedleak.errors import InputError
from fedleak.examples import IMAGES
from fedleak.models.base import Model
from fedleak.scenario.file import load_scenario
from fedleak.scenario.schema import Scenario

GRANTS = ("global_model", "model_architecture", "pixel_prior", "shared_update")
"""What every server knows."""
TRAINING = {"learning_rate": "local_learning_rate", "epochs": "local_epochs", "batch_size": "batch_size"}
"""Setting of ``LocalSettings`` -> setting of a client."""


@dataclass(frozen=True)
class Named:
    """What the user calls the scenario, and the attacks that the user wants."""

    name: str
    description: str
    seed: int
    attacks: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Seen:
    """What the observations told.

    Attributes:
        gradients: whether clients share gradients, not weights.
        clients: largest number of a client, and one more.
        rounds: largest number of a round.
        samples: largest number of images behind an update that clients reported; 1 if they reported none.
        shares_buffers: whether replies hold buffers.
    """

    gradients: bool
    clients: int = 2
    rounds: int = 1
    samples: int = 1
    shares_buffers: bool = False


def unknown_settings(about: ObservedFederation, *, gradients: bool) -> tuple[str, ...]:
    """Settings of clients' local training that nobody knows; none where clients share one gradient."""
    known = about.training
    return () if gradients else tuple(own for name, own in TRAINING.items() if getattr(known, name) is None)


def describe(about: ObservedFederation, model: Model, network: nn.Module, seen: Seen, named: Named) -> Scenario:
    """The checked scenario.

    Raises:
        InputError: if what is known does not fit together, or an attack needs more than is granted.
    """
    channels, *size = about.input_shape
    unknown = unknown_settings(about, gradients=seen.gradients)
    grants = [*GRANTS, *([] if unknown else ["training_details"]), *(["public_data"] if about.public else [])]
    norm = _batch_norm(about, network, seen)
    raw = {
        "name": named.name,
        "description": named.description or _description(unknown),
        "seed": named.seed,
        "dataset": {
            "kind": "unseen",
            "size": size,
            "channels": channels,
            "classes": about.classes,
            "mean": list(about.mean),
            "std": list(about.std),
        },
        "model": model.model_dump(mode="json"),
        "federation": {
            "clients": max(2, seen.clients),
            "rounds": seen.rounds,
            "client": _client(about, seen) | {"batch_norm": norm},
        },
        "adversary": {"grants": grants, "victims": {"clients": "all"}, "label_inference": _labels(norm)},
        "attacks": [dict(attack) for attack in named.attacks or default_attacks(seen, unknown, norm)],
    }
    return load_scenario(raw)


def default_attacks(seen: Seen, unknown: Sequence[str], norm: str) -> list[dict[str, Any]]:
    """Gradient matching, through the local steps if their settings are known."""
    attack: dict[str, Any] = {"kind": "inverting_gradients"}
    if not seen.gradients and not unknown:
        attack = {"kind": "inverting_averaging"}
    return [attack | ({"train_mode": True} if norm != "eval" else {})]


def _labels(norm: str) -> dict[str, Any]:
    """The usual label inference, in the mode of the clients' normalisation."""
    return {"kind": "calibrated_counts"} | ({"train_mode": True} if norm != "eval" else {})


def _description(unknown: Sequence[str]) -> str:
    text = "A federation that was recorded elsewhere."
    if unknown:
        text += f" Not known of its clients: {', '.join(unknown)}; what stands there is no fact, and no attack is told."
    return text


def _client(about: ObservedFederation, seen: Seen) -> dict[str, Any]:
    if seen.gradients:
        return {"protocol": "fedsgd", "batch_size": seen.samples}
    known = about.training
    client: dict[str, Any] = {"protocol": "fedavg", "proximal_mu": known.proximal_mu}
    client |= {own: getattr(known, name) for name, own in TRAINING.items() if getattr(known, name) is not None}
    client |= {"local_sgd": dict(known.sgd)} if known.sgd is not None else {}
    return client | ({"local_optimizer": dict(known.optimizer)} if known.optimizer is not None else {})


def _batch_norm(about: ObservedFederation, network: nn.Module, seen: Seen) -> str:
    """The mode of normalisation: torch's layers train with statistics of the batch, which replies hold or not."""
    if about.training.batch_norm is not None:
        return about.training.batch_norm
    if not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules()):
        return "eval"
    return "train_shared" if seen.shares_buffers else "train_local"


def check_images(about: ObservedFederation) -> None:
    """Check shape, classes and normalisation before anything is built.

    Raises:
        InputError: naming what does not fit.
    """
    shape = tuple(about.input_shape)
    if len(shape) != len(IMAGES.axes) or min(shape) < 1 or shape[0] not in (1, 3):
        raise InputError("input_shape", shape, "expected (channels, height, width), with 1 or 3 channels")
    for name in ("mean", "std"):
        if len(getattr(about, name)) not in (1, shape[0]):
            raise InputError(name, getattr(about, name), f"expected one number, or one for each of {shape[0]} channels")
    if about.class_names and len(about.class_names) != about.classes:
        raise InputError("class_names", len(about.class_names), f"expected {about.classes}, one for each class")
