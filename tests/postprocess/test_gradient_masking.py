from __future__ import annotations

import pytest
import torch

from fedleak.errors import InputError
from fedleak.federation.plan import make_plan
from fedleak.postprocess.gradient_masking import GradientMasking
from tests.postprocess.updates import generator
from tests.scenarios import scenario

UPDATE = {
    "0.weight": torch.tensor([[1.0, 2.0]]),
    "0.bias": torch.tensor([3.0]),
    "2.weight": torch.tensor([4.0]),
}


@pytest.mark.parametrize(
    ("layers", "omitted"),
    [(("0.*",), {"0.weight", "0.bias"}), (("*.bias", "2.*"), {"0.bias", "2.weight"}), (("nothing",), set())],
)
def test_layers_that_match_are_left_out_or_alone_kept(layers: tuple[str, ...], omitted: set[str]) -> None:
    without = GradientMasking(layers=layers).apply(UPDATE, generator=generator())
    only = GradientMasking(layers=layers, mode="keep").apply(UPDATE, generator=generator())
    for name, tensor in UPDATE.items():
        zero = torch.zeros_like(tensor)
        assert torch.equal(without[name], zero if name in omitted else tensor)
        assert torch.equal(only[name], tensor if name in omitted else zero)


def test_a_pattern_that_fits_no_parameter_is_refused_before_anything_runs() -> None:
    mask = [{"kind": "gradient_masking", "layers": ["*.bias", "head.*"]}]
    with pytest.raises(InputError, match=r"postprocess\.0\.layers.*head.*fits no parameter.*weight"):
        make_plan(scenario(federation__client__postprocess=mask))
