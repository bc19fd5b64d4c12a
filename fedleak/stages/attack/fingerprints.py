"""Content hashes that identify finished work of the attack stage."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from fedleak import attacks
from fedleak.attacks.base import Attack, TrainedAttack
from fedleak.attacks.order import source_of
from fedleak.scenario.schema import Scenario
from fedleak.threat import InjectedPairs, required_capabilities
from fedleak.transcript.manifest import Manifest, digest_of, file_digest


def attack_fingerprint(scenario: Scenario, component: Attack, transcript_digest: str, device: torch.device) -> str:
    """Content hash of everything that an attack's reconstructions depend on, including the attack it starts from."""
    labels, source = scenario.adversary.label_inference, source_of(component, scenario.attacks)
    parts = {
        "transcript": transcript_digest,
        "attack": component.model_dump(mode="json"),
        "labels": labels.model_dump(mode="json") if labels else None,
        "seed": scenario.seed,
        "device": device.type,
        "threads": scenario.threads,
    }
    if source is not None:
        parts["source"] = attack_fingerprint(scenario, source, transcript_digest, device)
    return digest_of(parts)


def artefact_key(scenario: Scenario, component: TrainedAttack[Any], manifest: Manifest, device: torch.device) -> str:
    """Content hash of everything that a trained generator depends on, and of nothing else: what only searches or
    reconstructs is left out, so that a generator is not trained again to the same end.
    """
    wanted = required_capabilities(component.fit).values()
    folders = ("public/", "pairs/") if InjectedPairs in wanted else ("public/",)
    classes, model = (manifest.classes, manifest.model) if component.trains_on_model else (None, None)
    return digest_of(
        {
            "attack": component.training_settings(),
            "data": {name: digest for name, digest in manifest.checksums.items() if name.startswith(folders)},
            "model": model,
            "shape": [*manifest.input_shape, classes],
            "seed": scenario.seed,
            "device": device.type,
            "threads": scenario.threads,
            "torch": torch.__version__,
            "code": _code_of_attacks(),
        }
    )


@cache
def _code_of_attacks() -> str:
    """Hash of the source code of all attacks: artefacts of another version may not fit the current networks."""
    folder = Path(attacks.__path__[0])
    return digest_of({path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(folder.rglob("*.py"))})
