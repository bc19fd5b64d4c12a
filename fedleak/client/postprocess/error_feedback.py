"""Error feedback: the compression error of one round is added to the next update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fedleak.client.postprocess.base import PostProcess, Update, apply_steps


def share_with_feedback(
    steps: Sequence[PostProcess], update: Update, residual: Mapping[str, Tensor], *, generator: torch.Generator
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Compress an update plus the residual of earlier rounds (Seide et al. 2014, Interspeech; Karimireddy et al. 2019,
    arXiv 1901.09847, algorithm 2).

    Args:
        steps: compressors, in order; together they are the algorithm's ``C``.
        update: name -> tensor.
        residual: the residual of earlier rounds, in the same shapes; empty in the first round.
        generator: random generator of the steps.

    Returns:
        The shared update ``C(update + residual)`` and the new residual ``update + residual - shared``. Over all rounds
        the shared updates and the last residual sum to the updates, up to rounding.
    """
    wanted = {name: tensor + residual[name] if name in residual else tensor for name, tensor in update.items()}
    shared = apply_steps(steps, wanted, generator=generator)
    return shared, {name: tensor - shared[name] for name, tensor in wanted.items()}
