"""The scenario schema: all settings of a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from fedleak import limits
from fedleak.attacks.base import Slug
from fedleak.component import Settings
from fedleak.models.base import Model
from fedleak.scenario.adversary import Adversary as Adversary
from fedleak.scenario.choices import (
    AnalysisChoice,
    AttackChoice,
    DatasetChoice,
    MetricsChoice,
    TheoryChoice,
)
from fedleak.scenario.choices import ModelChoice as ModelChoice
from fedleak.scenario.choices import TaskChoice as TaskChoice
from fedleak.scenario.client import ClientSettings as ClientSettings
from fedleak.scenario.client import Drift as Drift
from fedleak.scenario.engine import FederationEngine as FederationEngine
from fedleak.scenario.federation import Federation as Federation


class Scenario(Settings):
    """One experiment: a federation, an adversary, its attacks and how they are scored."""

    name: Slug
    """Short name for the run directory and reports: up to 64 letters, digits, dots, hyphens and underscores (default:
    the name of the file)."""
    description: str = ""
    """One sentence on what the scenario shows."""
    seed: int = Field(default=0, ge=0, le=limits.SEED)
    """Seed of every random draw; the same scenario and seed give the same results."""
    dataset: DatasetChoice
    """The images of the clients and of the adversary."""
    model: ModelChoice
    """The network that clients train."""
    task: TaskChoice = Field(default={"kind": "classification"}, validate_default=True)
    """The learning task."""
    federation: Federation = Federation()
    adversary: Adversary = Adversary()
    attacks: tuple[AttackChoice, ...] = Field(min_length=1)
    """The attacks, each with its settings; of two of one kind, each needs its own ``id``."""
    metrics: MetricsChoice = MetricsChoice()
    analyses: tuple[AnalysisChoice, ...] = ()
    """Analyses of the leaked model at the victims' images (default: none)."""
    theory: tuple[TheoryChoice, ...] = ()
    """Theorems whose predictions are scored together with the attacks (default: none)."""
    bootstrap_resamples: int = Field(default=2000, ge=100, le=limits.RESAMPLES)
    """Draws behind comparisons of means in studies; plain intervals need none."""
    device: str = "auto"
    """Device of the attack stage: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ..."""
    threads: int | None = Field(default=None, ge=1, le=limits.THREADS)
    """CPU threads of the attack stage (default: all cores). Small generators train fastest on one."""
    budgets: dict[str, dict[str, Any]] = {}
    """Named sets of overrides, ``path: value``, chosen with ``--budget``."""
    budget: str | None = None
    """The chosen budget; set by the command line (default: none)."""

    @property
    def served_model(self) -> Model:
        """The network that the clients are sent: ``model``, or what a malicious server makes of it."""
        crafting = self.adversary.crafting
        return self.model if crafting is None else crafting.declare(self.model, clients=self.federation.clients)

    @model_validator(mode="before")
    @classmethod
    def _infers_labels_of_classifications(cls, given: Any) -> Any:
        """Set the default for tasks other than classification: no label inference."""
        task = given.get("task", "classification") if isinstance(given, dict) else "classification"
        adversary = given.get("adversary", {}) if isinstance(given, dict) else None
        kind = task.get("kind") if isinstance(task, dict) else task
        if kind == "classification" or not isinstance(kind, str) or not isinstance(adversary, dict):
            return given
        return given | {"adversary": {"label_inference": None} | adversary}


def default_run_directory(scenario: Scenario, fingerprint: str) -> Path:
    """The default run directory, ``runs/<name>-<hash>``."""
    return Path("runs") / f"{scenario.name}-{fingerprint[:10]}"
