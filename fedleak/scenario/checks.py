"""Checks for invalid combinations of settings that need no data."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fedleak.attacks.base import Attack
from fedleak.attacks.order import sources
from fedleak.errors import InputError, InputErrors
from fedleak.results.schema import THEORY_PREFIX
from fedleak.scenario.asynchrony import check_asynchrony
from fedleak.scenario.crafting import check_crafting
from fedleak.scenario.deployment import check_deployment
from fedleak.scenario.privacy import check_privacy
from fedleak.scenario.schema import Scenario
from fedleak.scenario.secure_aggregation import check_secure_aggregation
from fedleak.scenario.training import check_training
from fedleak.threat import Capability, InferredLabels, InjectedPairs, required_capabilities

DEVICE = re.compile(r"^(auto|cpu|cuda(:\d+)?|mps)$")


def check_scenario(scenario: Scenario) -> None:
    """Check a scenario and collect all conflicts.

    Raises:
        InputErrors: with one line for each conflict, if there are any.
    """
    errors = [
        *_check_federation(scenario),
        *_check_victims(scenario),
        *_check_rounds(scenario),
        *_check_attacks(scenario),
        *_check_task(scenario),
        *_check_metrics(scenario),
        *_check_theory(scenario),
        *check_secure_aggregation(scenario),
        *check_deployment(scenario),
        *check_privacy(scenario),
        *check_asynchrony(scenario),
        *check_training(scenario),
        *check_crafting(scenario),
    ]
    if not DEVICE.match(scenario.device):
        errors.append(InputError("device", scenario.device, "expected auto, cpu, cuda, cuda:N or mps"))
    if errors:
        raise InputErrors(errors)


def _check_theory(scenario: Scenario) -> Iterator[InputError]:
    drift = scenario.federation.client.drift
    if scenario.theory and drift is not None and drift.epochs:
        yield InputError(
            "federation.client.drift",
            drift.model_dump(),
            "theories need updates computed on the broadcast model: remove drift",
        )


def _check_federation(scenario: Scenario) -> Iterator[InputError]:
    federation = scenario.federation
    if federation.clients_per_round is not None and federation.clients_per_round > federation.clients:
        yield InputError(
            "federation.clients_per_round",
            federation.clients_per_round,
            f"at most federation.clients = {federation.clients}",
        )
    for i, fault in enumerate(federation.faults):
        if fault.client >= federation.clients or fault.round > federation.rounds:
            yield InputError(f"federation.faults.{i}", fault.model_dump(), "no such client or round")
        if fault.mode == "exit" and federation.engine.kind == "serial":
            yield InputError(
                f"federation.faults.{i}.mode",
                fault.mode,
                "a serial engine has no worker processes",
            )


def _check_victims(scenario: Scenario) -> Iterator[InputError]:
    adversary, clients = scenario.adversary, scenario.federation.clients
    if adversary.compromised >= clients:
        yield InputError("adversary.compromised", adversary.compromised, f"clients are 0 to {clients - 1}")
    victims = adversary.victims.clients
    if isinstance(victims, str):
        return
    if len(victims) > clients:
        yield InputError(
            "adversary.victims.clients",
            list(victims),
            f"more victims than clients: there are {clients} clients",
        )
    for victim in victims:
        if victim >= clients:
            yield InputError("adversary.victims.clients", victim, f"clients are 0 to {clients - 1}")


def _check_rounds(scenario: Scenario) -> Iterator[InputError]:
    rounds, adversary = scenario.federation.rounds, scenario.adversary
    listed = {"adversary.victims.rounds": adversary.victims.rounds}
    if adversary.injection is not None:
        listed["adversary.injection.rounds"] = adversary.injection.rounds
        if len(set(adversary.injection.rounds)) < len(adversary.injection.rounds):
            yield InputError("adversary.injection.rounds", adversary.injection.rounds, "a round is listed twice")
    for path, numbers in listed.items():
        for number in numbers if numbers != "all" else ():
            if int(number) > rounds:
                yield InputError(path, number, f"rounds are 1 to {rounds}")


def _check_attacks(scenario: Scenario) -> Iterator[InputError]:
    names = [attack.name for attack in scenario.attacks]
    adversary = scenario.adversary
    for i, attack in enumerate(scenario.attacks):
        path = f"attacks.{i}"
        if attack.name in names[:i]:
            yield InputError(f"{path}.id", attack.name, "another attack has this id; give each its own")
        if attack.name.startswith(("baseline_", THEORY_PREFIX)):
            yield InputError(f"{path}.id", attack.name, "ids that start with baseline_ or theory_ are reserved")
        yield from _check_grants(scenario, path, attack.name, attack.wanted())
        yield from _check_start(scenario, path, attack)
        if InjectedPairs in attack.wanted() and adversary.injection is None:
            yield InputError("adversary.injection", None, f"{attack.name} needs injected pairs; set injection.pairs")
        if InferredLabels in attack.wanted() and adversary.label_inference is None:
            which = "name a kind" if scenario.task.kind == "classification" else "only oracle is made for this task"
            yield InputError("adversary.label_inference", None, f"{attack.name} needs inferred labels; {which}")
    labels = adversary.label_inference
    if labels is not None:
        needed = frozenset(required_capabilities(type(labels).infer).values())
        yield from _check_grants(scenario, "adversary.label_inference", labels.kind, needed)


def _check_task(scenario: Scenario) -> Iterator[InputError]:
    """Refuse attacks and label inferences that do not support the task."""
    task, labels = scenario.task.kind, scenario.adversary.label_inference
    for i, attack in enumerate(scenario.attacks):
        if attack.tasks is not None and task not in attack.tasks:
            yield InputError(
                f"attacks.{i}", attack.name, f"it supports only {', '.join(attack.tasks)}; the task is {task}"
            )
    if labels is not None and not labels.is_oracle and task != "classification":
        allowed = f"it infers labels of classification only; the task is {task}: use oracle or null"
        yield InputError("adversary.label_inference", labels.kind, allowed)


def _check_metrics(scenario: Scenario) -> Iterator[InputError]:
    private = scenario.adversary.shift.private_source(scenario.dataset)
    for metric in scenario.metrics.enabled():
        if metric.is_default and not metric.applies_to(private.examples):
            continue  # left out at scoring
        if objection := metric.objection(private):
            yield InputError(f"metrics.{metric.kind}", metric.model_dump(exclude={"kind"}), objection)


def _check_start(scenario: Scenario, path: str, attack: Attack) -> Iterator[InputError]:
    try:
        sources(attack, scenario.attacks)
    except LookupError as error:
        yield InputError(f"{path}.init.from", attack.starts_from, str(error))


def _check_grants(
    scenario: Scenario, path: str, name: str, needed: frozenset[type[Capability]]
) -> Iterator[InputError]:
    granted = scenario.adversary.granted
    for capability in sorted(needed, key=lambda c: c.capability_name()):
        if capability.level is not None and capability.capability_name() not in granted:
            yield InputError(
                path,
                name,
                f"it needs {capability.capability_name()} (level {capability.level}), which the adversary is not "
                f"granted; granted: {', '.join(sorted(granted)) or 'nothing'} (see adversary.level, adversary.grants)",
            )
