"""How the clients of a recorded app train: as they were seen to, or as their settings say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from fedleak.audit.observed import LocalSettings
from fedleak.audit.recorded import Recorded, SeenTraining

NAMES = {
    "learning_rate": ("lr", "learning-rate", "local-learning-rate"),
    "epochs": ("local-epochs", "epochs", "num-epochs", "local-e"),
    "batch_size": ("batch-size", "local-batch-size", "train-batch-size"),
}
"""Setting -> the names that Flower's own examples give it, with - or _."""
OPTIMIZERS = {"Adam": "adam", "AdamW": "adamw"}
SGD_OPTIONS = ("momentum", "nesterov", "weight_decay")
ADAM_OPTIONS = ("eps", "amsgrad", "weight_decay")


def from_settings(recorded: Recorded) -> LocalSettings:
    """What the messages and the app's run configuration say of the local training."""
    places = [*(settings for sent in recorded.sent[:1] for settings in sent.config.values())]
    named: dict[str, Any] = {}
    for settings in [recorded.begin.run_config, *places]:
        named |= {name.replace("_", "-"): value for name, value in settings.items()}
    found = {setting: _number(named, names) for setting, names in NAMES.items()}
    whole = {name: None if found[name] is None else int(found[name]) for name in ("epochs", "batch_size")}
    return LocalSettings(learning_rate=found["learning_rate"], epochs=whole["epochs"], batch_size=whole["batch_size"])


def _number(named: Mapping[str, Any], names: Iterable[str]) -> Any:
    for name in names:
        value = named.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return value
    return None


def from_training(seen: SeenTraining) -> LocalSettings:
    """What a client did: its optimiser, the size of its first batch, and how often it saw its images."""
    optimizer = seen.about.optimizer
    known = LocalSettings()
    if len(seen.sizes) and len(seen.images):
        epochs = max(1, round(int(seen.sizes.sum()) / len(seen.images)))
        known = replace(known, batch_size=int(seen.sizes[0]), epochs=epochs)
    if optimizer.get("lr"):
        known = replace(known, learning_rate=float(optimizer["lr"]))
    kind = str(optimizer.get("kind", ""))
    if kind == "SGD":
        known = replace(known, sgd={name: optimizer[name] for name in SGD_OPTIONS if optimizer.get(name)} or None)
    if kind in OPTIMIZERS:
        settings = {name: optimizer[name] for name in ADAM_OPTIONS if name in optimizer}
        known = replace(known, optimizer={"kind": OPTIMIZERS[kind]} | settings)
    return known


def combined(first: LocalSettings, other: LocalSettings) -> LocalSettings:
    """The first settings, and of the other ones what the first leave open."""
    names = ("learning_rate", "epochs", "batch_size", "sgd", "optimizer", "batch_norm")
    return replace(first, **{name: getattr(other, name) for name in names if getattr(first, name) is None})


def spoken(known: LocalSettings) -> str:
    """The settings in words."""
    optimizer = str((known.optimizer or {}).get("kind", "SGD"))
    options = [f"{name} {value:g}" for name, value in (known.sgd or {}).items()]
    parts = {
        f"{optimizer}{''.join(f' with {option}' for option in options)}": True,
        f"learning rate {known.learning_rate}": known.learning_rate is not None,
        f"{known.epochs} epoch(s)": known.epochs is not None,
        f"batches of {known.batch_size}": known.batch_size is not None,
    }
    return ", ".join(part for part, said in parts.items() if said)
