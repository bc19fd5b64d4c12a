"""The server side of a federation, round by round."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid
from torch import nn

from fedleak import seeds
from fedleak.data.sources.base import LabelledImages
from fedleak.errors import FederationError
from fedleak.examples import Normalisation, to_unit
from fedleak.federation.asynchronous import AsynchronousServer
from fedleak.federation.channel import ChannelTap, ExpectedUpdate
from fedleak.federation.exchange import exchange
from fedleak.federation.failures import WorkerLostError
from fedleak.federation.injection import gather_pairs
from fedleak.federation.membership import Members, Membership, SimulatedClients
from fedleak.federation.model import initial_model, network_factory
from fedleak.federation.noisy_mean import NoisyMean
from fedleak.federation.optimized import OptimizedServer, build_strategy
from fedleak.federation.oracles import with_oracles
from fedleak.federation.plan import Plan
from fedleak.federation.replies import ExpectedReply
from fedleak.federation.secure_aggregation import aggregate_securely
from fedleak.federation.strategy import UpdateAveraging
from fedleak.federation.sum_channel import SumTap
from fedleak.federation.wire import Instruction, Reply, record_of
from fedleak.models.state import load_state, precision, trainable, whole_state
from fedleak.progress import Progress
from fedleak.scenario.schema import ClientSettings
from fedleak.server.crafting.base import Crafting, UnfitCraftingError
from fedleak.server.strategy.factory import OwnStrategy
from fedleak.tasks.base import LearningTask
from fedleak.tensors import NamedTensors
from fedleak.threat import BatchStatistics
from fedleak.transcript.layout import Layout
from fedleak.transcript.manifest import RoundRecord
from fedleak.transcript.writer import TranscriptWriter

EVALUATION_BATCH = 500


class Server:
    """Trains the global model while the adversary records; continues after the last finished round.

    Args:
        plan: data and schedule.
        writer: writer of the transcript, which an earlier process may have begun.
        data: folder with one sub-folder of private images per client.
        progress: where the rounds and pairs are reported.
        crafting: how a malicious server changes the models of single clients (default: it changes none).
        membership: how the clients' nodes are found (default: those of a simulation).
    """

    def __init__(
        self,
        plan: Plan,
        writer: TranscriptWriter,
        data: Path,
        progress: Progress,
        *,
        crafting: Crafting | None = None,
        membership: Membership | None = None,
    ) -> None:
        self.plan, self.writer, self.data, self.progress = plan, writer, data, progress
        self.crafting = crafting
        self.membership = membership or SimulatedClients()
        self.stop = threading.Event()
        self.model = initial_model(plan.scenario, plan.splits)
        self.layout = Layout.of(trainable(self.model).items())
        strategy, clients = plan.scenario.federation.server.strategy, plan.scenario.federation.clients
        self.optimizer = build_strategy(strategy, clients=clients) if strategy is not None else None

    @property
    def finished(self) -> bool:
        """Whether every round is in the transcript."""
        return len(self.writer.rounds) == len(self.plan.rounds)

    def run(self, grid: Grid) -> None:
        """Run rounds until all are done, or until a worker was lost and the engine must be restarted.

        Raises:
            FederationError: if it cannot continue.
        """
        try:
            self._run(grid)
        except SystemExit as error:  # a user's model may call it; it would end the process, or a thread, in silence
            raise FederationError(f"code that the server runs, such as the model, called sys.exit({error})") from error

    def _run(self, grid: Grid) -> None:
        members = self.membership.join(grid, self.plan.scenario.federation.clients, stop=self.stop)
        strategy = self._strategy(members)
        tap = self._tap(strategy, members)
        bar = self.progress.task("federation rounds", len(self.plan.rounds))
        bar.advance(len(self.writer.rounds))
        while not self.finished:
            try:
                record = self._round(grid, tap, members)
                self.writer.finish_round(record, dict(strategy.memory))
            except WorkerLostError as error:
                self.progress.say(str(error))
                return
            bar.advance(note=f"test accuracy {record.accuracy:.3f}")
            for failure in record.failures if not self.membership.restarts else ():
                self.progress.say(f"federation: round {record.round}: {failure}")
            if self.membership.restarts and any(delivery.lost for delivery in tap.deliveries):
                return
            if not self.finished:
                failed = {delivery.client for delivery in tap.deliveries if delivery.status != "ok"}
                self.membership.renew(grid, members, failed, stop=self.stop)

    def _strategy(self, members: Members) -> UpdateAveraging:
        federation = self.plan.scenario.federation
        private, rule = federation.client_level_dp, federation.server.aggregation
        sign = -1.0 if federation.client.protocol == "fedsgd" else 1.0
        settings: dict[str, Any] = {
            "nodes": members.nodes,
            "versions": lambda number: self.plan.rounds[number - 1].versions,
            "load": self.writer.load_model,
            "instruct": lambda number, client: self._instruct(number, client=client),
            "step": sign * federation.server_learning_rate,
        }
        if rule is not None:
            return AsynchronousServer(rule, memory=self.writer.load_memory(len(self.writer.rounds)), **settings)
        mean = NoisyMean(private, key=self.plan.streams.server) if private and private.noise == "central" else None
        if self.optimizer is None:
            return UpdateAveraging(mean=mean, **settings)
        names, each = [slot.name for slot in self.layout.slots], isinstance(federation.server.strategy, OwnStrategy)
        return OptimizedServer(
            self.optimizer, each=each, names=names, key=self.plan.streams.server, mean=mean, **settings
        )

    def _tap(self, strategy: UpdateAveraging, members: Members) -> ChannelTap:
        tap = ChannelTap if self.plan.scenario.federation.secure_aggregation is None else SumTap
        return tap(
            strategy,
            clients=members.clients,
            expected=lambda number: self.plan.rounds[number - 1].updates,
            record=self._record,
            craft=self._craft if self.crafting is not None else None,
            record_sent=self.writer.save_sent,
            objection=ExpectedReply.of(self.plan, self.model).objection,
        )

    def _craft(self, number: int, client: int, state: NamedTensors) -> NamedTensors | None:
        """The model that a malicious server sends a client in a round instead of ``state``, or None."""
        if self.crafting is None or not self.crafting.targets(client, number):
            return None
        model = network_factory(self.plan.scenario, self.plan.splits)(0)
        load_state(model, state)
        try:
            sent = self.crafting.craft(
                model,
                self.plan.crafting_knowledge,
                client=client,
                round_number=number,
                generator=seeds.torch_generator(self.plan.streams.nonce, "crafting", number, client),
            )
        except UnfitCraftingError as error:
            raise FederationError(f"{self.crafting.kind}: client {client}, round {number}: {error}") from error
        if sent is not None and {n: t.shape for n, t in sent.items()} != {n: t.shape for n, t in state.items()}:
            raise FederationError(
                f"{self.crafting.kind}: what client {client} is sent in round {number} must have all parameters and "
                f"buffers of the model, in their shapes: {', '.join(state)}"
            )
        return sent

    def _round(self, grid: Grid, tap: ChannelTap, members: Members) -> RoundRecord:
        planned = self.plan.rounds[len(self.writer.rounds)]
        number = planned.number
        if number == 1:
            self.writer.save_model(0, whole_state(self.model))
        load_state(self.model, self.writer.load_model(number - 1))
        before = self.writer.rounds[-1].accuracy if number > 1 else self._evaluate()[0]
        arrays = record_of(whole_state(self.model))
        if self.writer.pairs_done < planned.pairs.stop:
            bar = self.progress.task(f"injected pairs, round {number}", len(planned.pairs))
            bar.advance(max(0, self.writer.pairs_done - planned.pairs.start))
            gather_pairs(
                grid,
                self.plan,
                planned.pairs,
                node=members.nodes[self.plan.scenario.adversary.compromised],
                arrays=arrays,
                instruct=lambda start: self._instruct(number, first_pair=start, injected=True),
                layout=self.layout,
                writer=self.writer,
                stop=self.stop,
                progress=bar,
            )
        updated = self._updated(grid, tap, number, list(tap.configure_train(number, arrays, ConfigRecord(), grid)))
        if updated is None:
            raise RuntimeError("the strategy aggregated nothing")
        load_state(self.model, updated.to_torch_state_dict())
        return self._round_record(number, tap, before)

    def _evaluate(self) -> tuple[float, float]:
        """Accuracy and loss of the global model."""
        splits = self.plan.splits
        task, classes = self.plan.scenario.task, len(splits.class_names)
        return evaluate(self.model, splits.test, splits.normalisation, task=task, classes=classes)

    def _updated(self, grid: Grid, tap: ChannelTap, number: int, messages: list[Message]) -> ArrayRecord | None:
        """The new global model, from the clients' replies or from their secure sum."""
        scenario, timeout = self.plan.scenario, self.plan.scenario.federation.engine.timeout
        settings = scenario.federation.secure_aggregation
        if settings is None or not isinstance(tap, SumTap):
            return tap.aggregate_train(number, exchange(grid, messages, timeout=timeout, stop=self.stop))[0]
        secure = aggregate_securely(
            grid,
            messages,
            settings,
            round_number=number,
            most_images=max(scenario.federation.client.images_per_update(held) for held in self.plan.held),
            key=seeds.key(self.plan.streams.server, "secure-aggregation", number),
            timeout=timeout,
            stop=self.stop,
        )
        return tap.aggregate_sum(number, secure, names=[slot.name for slot in self.layout.slots])[0]

    def _round_record(self, number: int, tap: ChannelTap, before: float) -> RoundRecord:
        self.writer.save_model(number, whole_state(self.model))
        accuracy, loss = self._evaluate()
        failures = [f"client {d.client}: {d.status}: {d.reason}" for d in tap.deliveries if d.status != "ok"]
        return RoundRecord(
            round=number,
            accuracy=accuracy,
            loss=loss,
            broadcast_accuracy=before,
            test_images=len(self.plan.splits.test),
            replies=len(tap.deliveries) - len(failures),
            failures=tuple(failures),
            updates=with_oracles(tap.update_records(number), self.plan, self.plan.rounds[number - 1]),
        )

    def _record(self, update: ExpectedUpdate, reply: Reply) -> None:
        self.writer.write_update(update.row, self.layout.flatten(reply.update).numpy())
        if reply.statistics:
            self.writer.write_statistics(update.row, reply.statistics)

    def _client(self, *, injected: bool) -> ClientSettings:
        settings, injection = self.plan.scenario.federation.sharing_client, self.plan.scenario.adversary.injection
        if not injected or injection is None or injection.postprocessed:
            return settings
        return settings.model_copy(update={"postprocess": (), "error_feedback": False})

    def _instruct(
        self, number: int, *, client: int | None = None, first_pair: int = 0, injected: bool = False
    ) -> Instruction:
        scenario, splits = self.plan.scenario, self.plan.splits
        of = scenario.adversary.compromised if client is None else client
        deployed = scenario.federation.engine.deployed
        faults = [f.mode for f in scenario.federation.faults if (f.round, f.client) == (number, client)]
        return Instruction(
            key=self.plan.streams.client(of) if not deployed else self.plan.streams.nonce,
            round=number,
            first_pair=first_pair,
            model=scenario.served_model,
            task=scenario.task,
            input_shape=splits.input_shape,
            classes=len(splits.class_names),
            mean=splits.normalisation.mean,
            std=splits.normalisation.std,
            client=self._client(injected=injected),
            batch_statistics=BatchStatistics.capability_name() in scenario.adversary.granted,
            data=str(self.data.resolve()) if not deployed else "",
            public=str((self.writer.folder / "public").resolve()) if not deployed else "",
            gpu=scenario.federation.engine.client_gpus > 0,
            timeout=scenario.federation.engine.timeout,
            fault=faults[0] if faults else None,
        )


@torch.no_grad()
def evaluate(
    model: nn.Module, data: LabelledImages, normalisation: Normalisation, *, task: LearningTask, classes: int
) -> tuple[float, float]:
    """Accuracy in [0, 1] and mean loss of ``model`` on ``data``, in evaluation mode, as the task defines them."""
    model.eval()
    correct, loss = 0.0, 0.0
    for start in range(0, len(data), EVALUATION_BATCH):
        images = normalisation.apply(to_unit(data.images[start : start + EVALUATION_BATCH]))
        targets = task.targets(torch.from_numpy(data.labels[start : start + EVALUATION_BATCH]), classes)
        outputs = model(images.to(precision(model)))
        correct += float(task.correct(outputs, targets).sum())
        loss += float(task.loss(outputs, targets, reduction="sum"))
    return correct / len(data), loss / len(data)
