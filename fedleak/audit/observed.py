"""What somebody observed of a federation that fedleak did not run.

``fedleak.audit.recording.write_observed_run`` makes an ordinary run directory of it (scenario, transcript and, where it
is known, truth), which ``fedleak attack`` and ``fedleak report`` take like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fedleak.examples import InputShape
from fedleak.models.base import Model

Array = Tensor | NDArray[Any]
ObservedTensors = Mapping[str, Array] | Sequence[Array]
"""By name, or in the order of the model's ``state_dict`` or of its parameters."""


class UnorderedTensors(dict[str, Array]):
    """Tensors by name from where their order is not kept, as in safetensors files: they fit by name or not at all."""


ReturnedKind = Literal["weights", "delta", "gradient"]
"""New weights; new weights minus old ones; or the gradient of the mean loss."""
BatchNormMode = Literal["eval", "train_shared", "train_local"]
"""As in ``federation.client.batch_norm`` of a scenario."""


@dataclass(frozen=True, eq=False)
class TrueBatch:
    """The images behind one update, where an audit may see them; only scoring opens them.

    Attributes:
        images: ``(N, C, H, W)``, uint8 in [0, 255] or floating point in [0, 1], not normalised; kept with 8 bits.
        labels: ``(N,)`` integers.
    """

    images: Array
    labels: Array


@dataclass(frozen=True, eq=False)
class Observation:
    """One client's part of one round.

    Attributes:
        round: from 1.
        client: number of the client, from 0, the same in all rounds.
        sent: weights and buffers that the client was sent; None: the state of the ``nn.Module`` that was given.
        returned: what it sent back; None: nothing usable came back (see ``failure``).
        returned_is: what ``returned`` holds.
        samples: number of images behind the update; None if the client does not report it.
        failure: why nothing came back.
        truth: the images behind the update.
        origin: where it comes from, such as a file, for messages.
    """

    round: int
    client: int
    sent: ObservedTensors | None
    returned: ObservedTensors | None
    returned_is: ReturnedKind = "weights"
    samples: int | None = None
    failure: str = ""
    truth: TrueBatch | None = None
    origin: str = ""

    @property
    def place(self) -> str:
        """Round, client and origin, for messages."""
        return f"{self.origin or 'updates'}: round {self.round}, client {self.client}"


@dataclass(frozen=True)
class LocalSettings:
    """How clients train, as far as it is known; None: unknown, and then no attack is told.

    Attributes:
        learning_rate, epochs, batch_size: of the local steps behind weights and deltas.
        sgd: options of SGD (``momentum``, ``nesterov``, ``weight_decay``, ``schedule``).
        optimizer: another local optimiser (``fedleak list local_optimizer``).
        proximal_mu: weight of FedProx's proximal term.
        batch_norm: ``eval``, ``train_shared`` or ``train_local``; None: told by the model and the replies.
    """

    learning_rate: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    sgd: Mapping[str, Any] | None = None
    optimizer: Mapping[str, Any] | None = None
    proximal_mu: float = 0.0
    batch_norm: BatchNormMode | None = None


@dataclass(frozen=True)
class ObservedFederation:
    """What is known of a federation as a whole.

    Attributes:
        model: ``module:function`` of a function or class that builds the network, which ``FEDLEAK_TRUSTED_FACTORIES``
            must name; or a kind of model with its settings; or an ``nn.Module`` whose class can be imported and called
            without arguments, which the variable must name, too.
        input_shape: of one image, ``(C, H, W)``.
        classes: number of outputs of the network.
        class_names: their names (default: numbers).
        mean, std: the network takes ``(pixel in [0, 1] - mean) / std``; one number, or one per channel.
        training: local training.
        public: the adversary's own images, uint8 ``(N, C, H, W)``, and labels ``(N,)``.
    """

    model: str | Mapping[str, Any] | Model | nn.Module
    input_shape: InputShape
    classes: int
    class_names: tuple[str, ...] = ()
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    training: LocalSettings = LocalSettings()
    public: tuple[NDArray[np.uint8], NDArray[np.int64]] | None = None
