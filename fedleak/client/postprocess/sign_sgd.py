"""Sign compression: one bit per value."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fedleak.client.postprocess.base import PostProcess, Update
from fedleak.client.postprocess.tensors import each_floating, straight_through


class SignSgd(PostProcess):
    """Share only the sign of each value (Bernstein et al. 2018, arXiv 1802.04434)."""

    kind: Literal["sign_sgd"] = "sign_sgd"
    compresses: ClassVar[bool] = True
    scale: Literal["none", "mean"] = "mean"
    """``none``: plus or minus one; ``mean``: times the mean magnitude of the tensor, which keeps the step size
    (Karimireddy et al. 2019, arXiv 1901.09847, section 3: a compressor that error feedback can correct)."""

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, Tensor]:
        """The scaled signs; zeros stay zero."""
        return each_floating(update, self._sign)

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, Tensor]:
        """The signs of the trial update, with a straight-through derivative."""
        return each_floating(update, lambda tensor: straight_through(tensor, self._sign(tensor.detach())))

    def _sign(self, tensor: Tensor) -> Tensor:
        if self.scale == "none":
            return tensor.sign()
        largest = tensor.abs().amax().clamp(min=torch.finfo(tensor.dtype).tiny)
        return tensor.sign().mul_((tensor.abs() / largest).mean() * largest)
