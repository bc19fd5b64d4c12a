"""Content hashes that identify finished work of the attack stage."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from fedleak import attacks
from fedleak.attacks.base import Attack, TrainedAttack
from fedleak.attacks.order import source_of
from fedleak.stages.attack.job import AttackJob
from fedleak.threat import InjectedPairs, required_capabilities
from fedleak.transcript.manifest import Manifest, digest_of, file_digest


def attack_fingerprint(job: AttackJob, component: Attack, transcript_digest: str, device: torch.device) -> str:
    """Content hash of everything that an attack's reconstructions depend on, including the attack it starts from."""
    labels, source = job.label_inference, source_of(component, job.attacks)
    parts = {
        "transcript": transcript_digest,
        "attack": component.model_dump(mode="json"),
        "labels": labels.model_dump(mode="json") if labels else None,
        "device": device.type,
        "threads": job.threads,
        "code": attack_code(job, component),
    }
    if source is not None:
        parts["source"] = attack_fingerprint(job, source, transcript_digest, device)
    return digest_of(parts)


def attack_code(job: AttackJob, component: Attack) -> str:
    """Hash of the code of all attacks, and of the components that this one is made of and attacks."""
    return digest_of({"attacks": _code_of_attacks(), "own": job.code[component.name]})


def artefact_key(job: AttackJob, component: TrainedAttack[Any], manifest: Manifest, device: torch.device) -> str:
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
            "seed": manifest.stream_root,
            "device": device.type,
            "threads": job.threads,
            "torch": torch.__version__,
            "code": digest_of({"attacks": _code_of_attacks(), "model": job.model_code}),
        }
    )


@cache
def _code_of_attacks() -> str:
    """Hash of the source code of all attacks: artefacts of another version may not fit the current networks."""
    folder = Path(attacks.__path__[0])
    return digest_of({path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(folder.rglob("*.py"))})
