"""Error feedback: what compression loses in one round is added to the next update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fedleak.client.postprocess.base import PostProcess, Update, apply_steps


def share_with_feedback(
    steps: Sequence[PostProcess], update: Update, residual: Mapping[str, Tensor], *, generator: torch.Generator
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Compress an update together with what earlier rounds left out (Seide et al. 2014, Interspeech; Karimireddy et
    al. 2019, arXiv 1901.09847, algorithm 2).

    Args:
        steps: compressors, in order; together they are the algorithm's ``C``.
        update: name -> tensor.
        residual: what is left over from earlier rounds, in the same shapes; empty in the first one.
        generator: of random steps.

    Returns:
        What is shared, ``C(update + residual)``, and the new residual, ``update + residual - shared``. Over all rounds
        what was shared and the last residual add up to the updates, up to rounding.
    """
    wanted = {name: tensor + residual[name] if name in residual else tensor for name, tensor in update.items()}
    shared = apply_steps(steps, wanted, generator=generator)
    return shared, {name: tensor - shared[name] for name, tensor in wanted.items()}
