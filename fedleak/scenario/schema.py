"""The scenario schema: all settings of a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from fedleak import families, threat
from fedleak.attacks.base import Slug
from fedleak.client.client_level_dp import ClientLevelDp
from fedleak.client.dp_sgd import DpSgd
from fedleak.client.local_sgd import PLAIN_SGD, LocalSgd
from fedleak.client.local_training import LocalTraining
from fedleak.client.postprocess.gradient_masking import frozen_layers
from fedleak.component import Settings, choice
from fedleak.errors import nearest
from fedleak.metrics.base import metric_settings
from fedleak.server.secure_aggregation import SecureAggregation
from fedleak.tasks.base import LearningTask

if TYPE_CHECKING:
    from fedleak.attacks.base import Attack as AttackChoice
    from fedleak.attacks.labels.base import LabelInference as LabelChoice
    from fedleak.client.augment.base import Augmentation as AugmentationChoice
    from fedleak.client.guard.base import Guard as GuardChoice
    from fedleak.client.optimizer.base import LocalOptimizer as OptimizerChoice
    from fedleak.client.postprocess.base import PostProcess as PostProcessChoice
    from fedleak.data.partition.base import Partition as PartitionChoice
    from fedleak.data.shift.base import Shift as ShiftChoice
    from fedleak.data.sources.base import Dataset as DatasetChoice
    from fedleak.metrics.analysis.base import Analysis as AnalysisChoice
    from fedleak.metrics.base import MetricSettings as MetricsChoice
    from fedleak.metrics.theory.base import Theory as TheoryChoice
    from fedleak.models.base import Model
    from fedleak.server.aggregation.base import Aggregation as AggregationChoice
    from fedleak.server.staleness.base import Staleness as StalenessChoice
    from fedleak.server.strategy.base import ServerStrategy as StrategyChoice

    ModelChoice: TypeAlias = Model
    TaskChoice: TypeAlias = LearningTask
else:
    MetricsChoice = metric_settings(families.kinds("metric"))
    AggregationChoice = choice(*families.AGGREGATIONS)
    AnalysisChoice = choice(*families.ANALYSES)
    AttackChoice = choice(*families.ATTACKS)
    AugmentationChoice = choice(*families.AUGMENTATIONS)
    LabelChoice = choice(*families.LABEL_INFERENCES)
    DatasetChoice = choice(*families.DATASETS)
    GuardChoice = choice(*families.GUARDS)
    ModelChoice = choice(*families.MODELS)
    OptimizerChoice = choice(*families.LOCAL_OPTIMIZERS)
    PartitionChoice = choice(*families.PARTITIONS)
    PostProcessChoice = choice(*families.POST_PROCESSES)
    ShiftChoice = choice(*families.SHIFTS)
    StalenessChoice = choice(*families.STALENESS)
    StrategyChoice = choice(*families.SERVER_STRATEGIES)
    TaskChoice = choice(*families.TASKS)
    TheoryChoice = choice(*families.THEORIES)

ClientIndex = Annotated[int, Field(ge=0)]
RoundNumber = Annotated[int, Field(ge=1)]


class Drift(Settings):
    """Local training of every client on its own images before it computes the shared update.

    Its parameters then differ from those with which the compromised client computes injected batches, without drift
    (parameter discrepancy; Chen & Liu 2025, arXiv 2505.20026, section 5.2.3). It restarts from the global model in
    every round.
    """

    images: int = Field(ge=1)
    """Number of the client's images to train on, the same images in every round."""
    epochs: int = Field(ge=0)
    learning_rate: float = Field(default=0.01, gt=0)
    batch_size: int = Field(default=32, ge=1)


class ClientSettings(Settings):
    """Settings of the clients: local training, defenses and post-processing."""

    protocol: Literal["fedsgd", "fedavg"] = "fedsgd"
    """``fedsgd``: share one gradient; ``fedavg``: train locally, share the weight delta."""
    batch_size: int = Field(default=1, ge=1)
    """Images in a gradient (fedsgd) or a local mini-batch (fedavg)."""
    samples: int | None = Field(default=None, ge=1)
    """fedavg: number of images that a client uses in a round (default: its whole partition)."""
    selection: Literal["random", "largest_gradients"] = "random"
    """``random``: new images in every round; ``largest_gradients``: always the images with the largest gradients under
    the initial model, taken from every class in turn (GradInversion's vulnerable population, arXiv 2104.07586,
    section 4.3)."""
    local_epochs: int = Field(default=1, ge=1)
    local_learning_rate: float = Field(default=0.01, gt=0)
    local_sgd: LocalSgd = PLAIN_SGD
    """fedavg: momentum, weight decay, learning-rate schedule (default: plain SGD)."""
    local_optimizer: OptimizerChoice | None = Field(default=None, exclude_if=lambda value: value is None)
    """fedavg: a local optimiser other than SGD, such as Adam (default: SGD with ``local_sgd``)."""
    proximal_mu: float = Field(default=0.0, ge=0, exclude_if=lambda value: value == 0)
    """fedavg: weight mu of the proximal term ``mu / 2 ||w - w_t||^2`` of every client's objective (FedProx; Li et al.
    2020, arXiv 1812.06127, eq. 2; default: none)."""
    batch_norm: Literal["eval", "train_shared", "train_local"] = "eval"
    """``eval``: broadcast running statistics; ``train_shared``, ``train_local``: batch statistics, whose running
    averages are shared or kept."""
    augment: tuple[AugmentationChoice, ...] = ()
    """Applied to a client's images before training, once per update; injected batches are treated in the same way."""
    dp_sgd: DpSgd | None = None
    """Clip each example's gradient and add noise, in every local step; epsilon is reported (needs ``fedleak[dp]``)."""
    guards: tuple[GuardChoice, ...] = ()
    """Checks of the broadcast model; a client that finds it crafted does not train and reports the reason."""
    drift: Drift | None = None
    """Train locally before computing the update (default: off)."""
    postprocess: tuple[PostProcessChoice, ...] = ()
    """Applied to every update before it leaves the client, in this order."""
    error_feedback: bool = False
    """Each client adds what the compressors of ``postprocess`` left out of its last update to its next one. Injected
    batches neither use nor change this residual: a pair depends only on its images, not on earlier rounds."""

    def training(self, task: LearningTask) -> LocalTraining:
        """The local training of a client with these settings."""
        return LocalTraining(
            protocol=self.protocol,
            batch_size=self.batch_size,
            epochs=self.local_epochs,
            learning_rate=self.local_learning_rate,
            train_mode=self.batch_norm != "eval",
            optimizer=self.local_optimizer or self.local_sgd,
            proximal_mu=self.proximal_mu,
            frozen=frozen_layers(self.postprocess),
            task=task,
        )

    def images_per_update(self, held: int) -> int:
        """Number of images in one update of a client that holds ``held`` images."""
        if self.protocol == "fedsgd":
            return self.batch_size
        return self.samples if self.samples is not None else held

    @model_validator(mode="after")
    def _fits_protocol(self) -> Self:
        local = self.local_epochs != 1 or self.samples is not None or self.local_sgd != PLAIN_SGD
        if self.protocol == "fedsgd" and local:
            raise ValueError("local_epochs, samples, local_sgd belong to protocol fedavg; fedsgd shares one gradient")
        if self.protocol == "fedsgd" and (self.local_optimizer is not None or self.proximal_mu):
            raise ValueError(
                "local_optimizer, proximal_mu belong to protocol fedavg; fedsgd shares one gradient, no local step"
            )
        if self.local_optimizer is not None and self.local_sgd != PLAIN_SGD:
            raise ValueError("choose either local_sgd or local_optimizer")
        return self

    @model_validator(mode="after")
    def _keeps_examples_apart(self) -> Self:
        mixes = self.batch_norm != "eval" or bool(self.augment) or self.drift is not None
        if self.dp_sgd is not None and mixes:
            raise ValueError("dp_sgd clips each example's gradient: it needs batch_norm eval, no augment and no drift")
        return self

    @model_validator(mode="after")
    def _looks_at_the_batch_first(self) -> Self:
        looking = [step.needs_batch for step in self.postprocess]
        if any(looking) and (
            looking != sorted(looking, reverse=True)
            or (self.protocol, self.batch_norm, self.dp_sgd) != ("fedsgd", "eval", None)
        ):
            kind = self.postprocess[looking.index(True)].kind
            raise ValueError(f"{kind} needs the batch: it must come first, with fedsgd, batch_norm eval and no dp_sgd")
        return self

    @model_validator(mode="after")
    def _feeds_errors_of_compressors_back(self) -> Self:
        others = [step.kind for step in self.postprocess if not step.compresses]
        if self.error_feedback and (others or not self.postprocess):
            found = ", ".join(others) or "nothing"
            raise ValueError(f"error_feedback works only with compressors; postprocess holds {found}")
        return self


class ServerSettings(Settings):
    """Settings of the server's aggregation."""

    learning_rate: float | None = Field(default=None, gt=0)
    """Factor of every update (default: 0.1 for fedsgd, 1.0 for fedavg)."""
    aggregation: AggregationChoice | None = None
    """Aggregation rule for the updates of a round (default: their mean, weighted by number of images)."""
    strategy: StrategyChoice | None = Field(default=None, exclude_if=lambda value: value is None)
    """Flower strategy that computes the new model, such as FedAdam, or your own (default: step along the mean)."""


class Fault(Settings):
    """An injected failure, to study and test how a federation handles it."""

    round: RoundNumber
    client: ClientIndex
    mode: Literal["raise", "silent", "exit", "nan"]
    """``raise`` an error; ``silent``: do not reply; ``exit``: end the worker process; ``nan``: share NaN values."""


class SimulationEngine(Settings):
    """Where and how the clients run; these settings do not change results."""

    kind: Literal["ray", "serial"] = "ray"
    """Ray actors, or one client after the other in this process (for debugging, and for machines without Ray)."""
    cpus: int | None = Field(default=None, ge=1)
    """CPUs of a local Ray (default: all)."""
    client_cpus: float = Field(default=1, gt=0)
    client_gpus: float = Field(default=0, ge=0)
    """Share of a GPU for each client actor, such as 0.25."""
    address: str | None = None
    """Join this Ray cluster (``auto``, ``host:port``) instead of starting one."""
    timeout: float = Field(default=300, gt=0)
    """Seconds after which missing replies of a round count as failures."""


class Federation(Settings):
    """The federation under attack."""

    clients: int = Field(default=4, ge=2)
    rounds: int = Field(default=5, ge=1)
    clients_per_round: int | None = Field(default=None, ge=1)
    """Number of clients sampled in each round (default: all)."""
    partition: PartitionChoice = Field(default={"kind": "iid"}, validate_default=True)
    client: ClientSettings = ClientSettings()
    staleness: StalenessChoice = Field(default={"kind": "fixed", "lag": 0}, validate_default=True)
    """How old the models are that clients compute on (default: current, synchronous)."""
    server: ServerSettings = ServerSettings()
    client_level_dp: ClientLevelDp | None = None
    """Clip each client's update as a whole and add noise; epsilon is reported (needs ``fedleak[dp]``)."""
    secure_aggregation: SecureAggregation | None = None
    """The server, and so the adversary, sees only the sum of a round's updates."""
    engine: SimulationEngine = SimulationEngine()
    faults: tuple[Fault, ...] = ()

    @property
    def sharing_client(self) -> ClientSettings:
        """The client's settings, with the steps of client-level privacy appended to ``postprocess``."""
        if self.client_level_dp is None:
            return self.client
        steps = (*self.client.postprocess, *self.client_level_dp.steps)
        return self.client.model_copy(update={"postprocess": steps})

    @property
    def server_learning_rate(self) -> float:
        """The server's learning rate, or its default for the protocol."""
        if self.server.learning_rate is not None:
            return self.server.learning_rate
        return 0.1 if self.client.protocol == "fedsgd" else 1.0


class Injection(Settings):
    """Input-update pairs gathered through the channel of the compromised client."""

    pairs: int = Field(ge=2)
    rounds: tuple[RoundNumber, ...] = Field(default=(1,), min_length=1)
    """Rounds in which pairs are gathered, an equal share in each."""
    dtype: Literal["float32", "float16"] = "float32"
    """Precision on disk."""
    postprocessed: bool = True
    """Whether pairs pass through the clients' post-processing, so that generators trained on them adapt to it;
    ``false``: pairs without it, for an adversary who does not know of it."""


class Victims(Settings):
    """The updates that the adversary records and attacks."""

    clients: Literal["others"] | tuple[ClientIndex, ...] = "others"
    """``others``: every client but the compromised one."""
    rounds: Literal["all"] | tuple[RoundNumber, ...] = "all"


class Adversary(Settings):
    """The adversary: capabilities, data, victims and injection."""

    level: int | None = Field(default=None, ge=0, le=5)
    """Grant all capabilities up to this threat level of the SoK."""
    grants: tuple[str, ...] = ()
    """Grant capabilities by name."""
    compromised: ClientIndex = 0
    """The client whose channel is controlled."""
    public_images: int | None = Field(default=None, ge=1)
    """Number of the adversary's own images (default: enough for the pairs, at most half of the data)."""
    shift: ShiftChoice = Field(default={"kind": "none"}, validate_default=True)
    injection: Injection | None = None
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


class Scenario(Settings):
    """One experiment: a federation, an adversary, its attacks and how they are scored."""

    name: Slug
    description: str = ""
    seed: int = Field(default=0, ge=0)
    dataset: DatasetChoice
    model: ModelChoice
    task: TaskChoice = Field(default={"kind": "classification"}, validate_default=True)
    """The learning task."""
    federation: Federation = Federation()
    adversary: Adversary = Adversary()
    attacks: tuple[AttackChoice, ...] = Field(min_length=1)
    metrics: MetricsChoice = MetricsChoice()
    analyses: tuple[AnalysisChoice, ...] = ()
    """Analyses of the leaked model at the victims' images (default: none)."""
    theory: tuple[TheoryChoice, ...] = ()
    """Theorems whose predictions are scored together with the attacks (default: none)."""
    bootstrap_resamples: int = Field(default=2000, ge=100)
    """Bootstrap resamples of every 95 % interval."""
    device: str = "auto"
    """Device of the attack stage: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ..."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of the attack stage (default: all cores). Small generators train fastest on one."""
    budgets: dict[str, dict[str, Any]] = {}
    """Named sets of overrides, ``path: value``, chosen with ``--budget``."""
    budget: str | None = None
    """The chosen budget; set by the command line."""

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


def json_schema() -> dict[str, Any]:
    """JSON Schema of the scenario, for editors."""
    return Scenario.model_json_schema()


def default_run_directory(scenario: Scenario, fingerprint: str) -> Path:
    """The default run directory, ``runs/<name>-<hash>``."""
    return Path("runs") / f"{scenario.name}-{fingerprint[:10]}"
