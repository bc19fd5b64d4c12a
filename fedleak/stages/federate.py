"""First stage: run the federation, write transcript and ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from fedleak.errors import InputError, listed
from fedleak.models.state import frozen
from fedleak.progress import Progress, QuietProgress
from fedleak.records import write_atomically
from fedleak.run_directory import RunDirectory, federation_fingerprint
from fedleak.scenario.schema import Scenario
from fedleak.server.crafting.base import Crafting
from fedleak.stages.inputs import changed_inputs, keep_inputs
from fedleak.stages.score.truth import seal_transcript, write_truth
from fedleak.transcript.manifest import (
    MANIFEST,
    FederationRecord,
    PairsRecord,
    PrivacyRecord,
    TrainingRecord,
    load_manifest,
)
from fedleak.transcript.writer import TranscriptWriter

if TYPE_CHECKING:
    from fedleak.federation.plan import Plan

START = {
    "ray": "starting Ray and the clients",
    "serial": "starting the clients",
    "deployment": "starting a run on the SuperLink",
}
"""Kind of engine -> what is said first."""


def plan_federation(
    scenario: Scenario, run: RunDirectory, *, again: bool = False, progress: Progress | None = None
) -> Plan | None:
    """Load and check the data; None if the run directory holds this federation's finished transcript.

    It is planned again if its code, its data or its initial weights changed since.

    Args:
        scenario, run: the scenario and its run directory.
        again: plan even if there is a finished transcript.
        progress: where it is said which nodes of a deployment are waited for.

    Raises:
        InputError: if scenario, data and machine do not fit together; nothing has been written.
    """
    if not again and is_current(scenario, run):
        return None
    from fedleak.federation.plan import make_plan
    from fedleak.federation.resources import check_resources
    from fedleak.federation.streams import stored_secret

    check_resources(scenario.federation.engine)
    secret = stored_secret(run.truth) if not again else None
    if not scenario.federation.engine.own_data:
        return make_plan(scenario, secret=secret)
    from fedleak.federation.runtime import images_of_nodes

    return make_plan(scenario, roll_call=lambda splits: images_of_nodes(scenario, splits, progress or QuietProgress()))


def seal(run: RunDirectory) -> None:
    """Seal the truth of a finished federation whose process was killed before it did."""
    if run.truth.is_dir():
        seal_transcript(run.truth, run.transcript)


def federate(plan: Plan, run: RunDirectory, progress: Progress, *, crafting: Crafting | None = None) -> None:
    """Run a planned federation to its end, or continue where an interrupted one stopped.

    Args:
        plan, run: the plan and its run directory.
        progress: where rounds are reported.
        crafting: how a malicious server changes the models of single clients (default: as the scenario says). One that
            the scenario does not name is no part of it: plan with ``again=True`` where an honest record may exist.

    Raises:
        InputError: if an interrupted run began with other images of the clients.
        FederationError: if it cannot be finished; running it again continues with the next round.
    """
    progress.say(f"federation: {START[plan.scenario.federation.engine.kind]}")
    from fedleak.federation import runtime  # first: it sets variables that Flower reads on import
    from fedleak.federation.server import Server

    scenario = plan.scenario
    crafting = crafting or scenario.adversary.crafting
    fingerprint = federation_fingerprint(scenario)
    settings = crafting.model_dump(mode="json") if crafting is not None else None
    changed = changed_inputs(scenario, run)
    if changed:
        progress.say(f"federation: {changed} changed since it was recorded; it is recorded anew")
    restart = bool(changed) or _keeps_state(scenario)
    writer = TranscriptWriter(run.transcript, fingerprint, restart=restart, crafting=settings)
    keep_inputs(scenario, run)  # after an earlier transcript is gone, which it would not describe
    if writer.rounds or writer.pairs_done:
        _check_secret(plan, run)
        progress.say(f"federation: continuing after round {len(writer.rounds)}")
    if plan.unheld_classes:
        progress.say(f"federation: no client holds an image of {listed(plan.unheld_classes)}")
    if plan.clients:
        write_planned_truth(run.truth, plan)
    else:
        progress.say("federation: only the nodes know their images; there is no ground truth, and nothing is scored")
    server = Server(
        plan, writer, run.truth, progress, crafting=crafting, membership=runtime.membership_of(plan, progress)
    )
    writer.allocate(updates=plan.recorded_updates, values=server.layout.size)
    writer.save_public(plan.public.images, plan.public.labels)
    injection = scenario.adversary.injection
    if injection is not None and plan.pair_index is not None:
        writer.allocate_pairs(plan.pair_index, values=server.layout.size, dtype=injection.dtype)
    runtime.run_server(server, scenario.federation.engine)
    writer.finish(
        parameters=server.layout,
        buffers=tuple(name for name, _ in server.model.named_buffers()),
        pairs=_pairs_record(plan),
        training=TrainingRecord.model_validate(
            scenario.federation.sharing_client.model_dump(mode="json", exclude={"protocol", "drift", "selection"})
        ),
        federation=_federation_record(plan, server.model, settings),
    )
    seal(run)


def _check_secret(plan: Plan, run: RunDirectory) -> None:
    """Check that the rounds so far were drawn from the secret of this plan."""
    from fedleak.federation.streams import stored_secret

    if plan.clients and stored_secret(run.truth) != plan.streams.secret:
        raise InputError(
            "RUN_DIR",
            str(run.root),
            "its federation began with other images of the clients, or in an earlier version of fedleak; it cannot be "
            "continued, --force starts over",
        )


def write_planned_truth(folder: Path, plan: Plan) -> None:
    """Store the clients' secret and images, and the indices of those behind each planned update, for scoring."""
    from fedleak.federation.streams import SECRET

    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / SECRET, plan.streams.secret)
    (folder / SECRET).chmod(0o600)
    rows: dict[int, dict[int, list[int]]] = {}
    for update in (update for planned in plan.rounds for update in planned.updates):
        rows.setdefault(update.row, {})[update.client] = update.images.tolist()
    images, labels = [data.images for data in plan.clients], [data.labels for data in plan.clients]
    write_truth(folder, images=images, labels=labels, rows=rows)


def _pairs_record(plan: Plan) -> PairsRecord | None:
    injection = plan.scenario.adversary.injection
    if injection is None or plan.pair_index is None:
        return None
    return PairsRecord(
        count=injection.pairs,
        images_per_pair=plan.pair_index.shape[1],
        model_versions=tuple(number - 1 for number in sorted(injection.rounds)),
        postprocessed=injection.postprocessed,
        drifted=plan.scenario.federation.client.drifts_injected,
    )


def _privacy(plan: Plan) -> PrivacyRecord | None:
    from fedleak.federation.accounting import account, account_clients

    federation, rounds = plan.scenario.federation, [planned.clients for planned in plan.rounds]
    client, held = federation.client, plan.held
    if federation.client_level_dp is not None:
        return account_clients(federation.client_level_dp, clients=len(held), rounds=rounds)
    if client.dp_sgd is None:
        return None
    return account(
        client.dp_sgd,
        held=held,
        batch_size=client.batch_size,
        rounds=rounds,
        local_epochs=client.local_epochs if client.protocol == "fedavg" else None,
        samples=client.samples,
    )


def _federation_record(plan: Plan, model: nn.Module, crafting: dict[str, Any] | None) -> FederationRecord:
    splits, scenario = plan.splits, plan.scenario
    return FederationRecord(
        protocol=scenario.federation.client.protocol,
        model=scenario.served_model.model_dump(mode="json"),
        task=scenario.task.model_dump(mode="json"),
        input_shape=splits.input_shape,
        classes=len(splits.class_names),
        class_names=splits.class_names,
        mean=splits.normalisation.mean,
        std=splits.normalisation.std,
        privacy=_privacy(plan),
        nonce=plan.streams.nonce,
        frozen=frozen(model),
        crafting=crafting,
    )


def is_current(scenario: Scenario, run: RunDirectory) -> bool:
    """Whether the run directory has this federation's finished transcript, and nothing it depended on has changed."""
    return is_finished(run, federation_fingerprint(scenario)) and not changed_inputs(scenario, run)


def is_finished(run: RunDirectory, fingerprint: str) -> bool:
    """Whether the run directory has a finished transcript with this fingerprint."""
    if not (run.transcript / MANIFEST).is_file():
        return False
    try:
        return load_manifest(run.transcript).fingerprint == fingerprint
    except InputError:
        return False


def _keeps_state(scenario: Scenario) -> bool:
    """Whether clients or the server's strategy keep state that is lost with their process: such a run starts over."""
    client, strategy = scenario.federation.client, scenario.federation.server.strategy
    return client.batch_norm == "train_local" or client.error_feedback or strategy is not None
