"""The two roots of a federation's random streams: the clients' secret, and the adversary's nonce.

Protected, because drawn from the secret: which private image which client holds, which images and in which order each
client uses, dropout, augmentation, the noise and the masks of post-processing and of differential privacy, which
clients take part in a round, and how late they are. Not protected, because drawn from the scenario's seed: the initial
model, which the server broadcasts anyway, and which of the data set's images are public. Who has the seed and the whole
data set therefore knows which images are private, but not which client holds which. The random numbers of crafting
servers, injected pairs, generators and attacks come from the nonce, which the transcript holds.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fedleak import seeds
from fedleak.data.sources.base import LabelledImages
from fedleak.errors import InputError

SECRET = "secret"  # noqa: S105 - the name of a file
"""Name of the file in ``truth/`` that holds the clients' secret."""


@dataclass(frozen=True)
class Streams:
    """Roots of the random streams of one federation.

    Attributes:
        secret: the clients' secret; only ``truth/`` holds it.
    """

    secret: str = field(repr=False)

    @property
    def nonce(self) -> str:
        """Root of the adversary's streams. It is public; the secret cannot be computed from it."""
        return seeds.key(self.secret, "adversary")

    @property
    def server(self) -> str:
        """Root of the streams of the honest server and of the schedule of rounds."""
        return seeds.key(self.secret, "server")

    def client(self, client: int) -> str:
        """Root of the streams of one client, the only one that it is told."""
        return seeds.key(self.secret, "client", client)


def repeatable_secret(seed: int, private: LabelledImages) -> str:
    """SHA-256 over the seed and all private images and labels: the same for the same scenario, on every machine.

    As a deterministic nonce is derived from the message itself (RFC 6979, RFC 5297), the secret is derived from what is
    to be protected: without every private image, it cannot be found by trying seeds. Who can load the same images, such
    as from a public data set, can compute it; ``federation.randomness: system`` protects from that, too.
    Runs of the same seed and images draw the same numbers, whatever their other settings.
    """
    head = json.dumps([seed, list(private.images.shape)]).encode()
    digest = hashlib.sha256(b"fedleak clients' secret\0" + head + b"\0")
    digest.update(np.ascontiguousarray(private.images).data)
    digest.update(private.labels.astype("<i8").tobytes())
    return digest.hexdigest()


def system_secret() -> str:
    """256 bits from the operating system's source of randomness, in hexadecimal."""
    return secrets.token_hex(32)


def stored_secret(truth: Path) -> str | None:
    """The secret in a run's ``truth/``, or None if there is none.

    Raises:
        InputError: if the file cannot be read, or is damaged.
    """
    try:
        text = (truth / SECRET).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError("truth", str(truth / SECRET), f"it cannot be read ({error})") from error
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise InputError("truth", str(truth / SECRET), "expected 64 hexadecimal digits; the file is damaged")
    return text
