"""Settings of the adversary: the block ``adversary``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from fedleak import limits, threat
from fedleak.component import Settings
from fedleak.errors import nearest
from fedleak.scenario.choices import ClientIndex, CraftingChoice, LabelChoice, RoundNumber, ShiftChoice


class Injection(Settings):
    """Input-update pairs gathered through the channel of the compromised client."""

    pairs: int = Field(ge=2, le=limits.IMAGES)
    """Number of pairs, over all its rounds."""
    rounds: tuple[RoundNumber, ...] = Field(default=(1,), min_length=1)
    """Rounds in which pairs are gathered, an equal share in each."""
    dtype: Literal["float32", "float16"] = "float32"
    """Precision on disk."""
    postprocessed: bool = True
    """Whether pairs pass through the clients' post-processing, so that generators trained on them adapt to it;
    ``false``: pairs without it, for an adversary who does not know of it."""


class Victims(Settings):
    """The updates that the adversary records and attacks."""

    clients: Literal["others", "all"] | tuple[ClientIndex, ...] = "others"
    """``others``: every client but the compromised one; ``all``; or a list of their numbers, from 0."""
    rounds: Literal["all"] | tuple[RoundNumber, ...] = "all"
    """``all`` rounds, or a list of their numbers, from 1."""


class Adversary(Settings):
    """The adversary: capabilities, data, victims and injection."""

    level: int | None = Field(default=None, ge=0, le=5)
    """Grant all capabilities up to this threat level of the SoK (default: only those named in ``grants``)."""
    grants: tuple[str, ...] = ()
    """Grant capabilities by name."""
    compromised: ClientIndex = 0
    """The client whose channel is controlled."""
    public_images: int | None = Field(default=None, ge=1, le=limits.IMAGES)
    """Number of the adversary's own images (default: enough for the pairs, at most half of the data)."""
    shift: ShiftChoice = Field(default={"kind": "none"}, validate_default=True)
    """How the clients' images differ from the adversary's own."""
    injection: Injection | None = None
    """Input-update pairs gathered through the channel of the compromised client (default: none)."""
    crafting: CraftingChoice | None = Field(default=None, exclude_if=lambda value: value is None)
    """How a malicious server changes the models that it sends to clients; needs ``model_tampering`` (default: it sends
    everyone the global model)."""
    victims: Victims = Victims()
    label_inference: LabelChoice | None = Field(default={"kind": "calibrated_counts"}, validate_default=True)
    """Label inference (default: ``calibrated_counts``; ``greedy_bias`` if the model is not granted)."""

    @model_validator(mode="before")
    @classmethod
    def _infers_labels_by_what_is_granted(cls, given: Any) -> Any:
        """Set the default by grants before validation, so that the schema shows the usual default."""
        if not isinstance(given, dict) or "label_inference" in given or given.get("level") is not None:
            return given
        grants = given.get("grants")
        if isinstance(grants, list | tuple) and threat.GlobalModel.capability_name() in grants:
            return given
        return given | {"label_inference": {"kind": "greedy_bias"}}

    @field_validator("grants")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in threat.GRANTABLE:
                hint = nearest(name, threat.GRANTABLE)
                raise ValueError(f"unknown capability {name!r}; {hint}known: {', '.join(threat.GRANTABLE)}")
        return names

    @property
    def granted(self) -> frozenset[str]:
        """Names of all granted capabilities."""
        by_level = threat.granted_by_level(self.level) if self.level is not None else frozenset()
        return by_level | frozenset(self.grants)
