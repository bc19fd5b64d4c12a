"""iDLG, improved Deep Leakage from Gradients."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedleak import limits
from fedleak.attacks.inversion.base import LabelledInversion
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.dlg import LBFGS
from fedleak.attacks.inversion.optimisers import Optimiser


class Idlg(LabelledInversion):
    """Improved DLG: the label first, then only the image by L-BFGS (Zhao, Mopuri & Bilen 2020, arXiv 2001.02610).

    The paper's own label rule is the label inference ``row_sum``.

    Fails as ``dlg`` does; the rule for the label holds for one image only, so a batch depends on the label inference.
    """

    kind: Literal["idlg"] = "idlg"
    iterations: int = Field(default=300, ge=1, le=limits.ITERATIONS)
    distance: Distance = Distance(kind="squared_l2")
    optimiser: Optimiser = LBFGS
    box: bool = False
