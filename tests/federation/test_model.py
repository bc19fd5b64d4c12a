"""A model that cannot be trained is refused before anything runs, with its factory, the exception and its message."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from fedleak.models.factory import CONSENT
from tests.scenarios import command, write_scenario

MODULE = """
    import sys
    import torch
    import torchvision
    from torch import nn
    from tests.user_models import Tutorial, TwoHeads, one_output, plain

    two_heads = TwoHeads

    def key_error(shape, classes):
        return {}["layers"]

    def leaves(shape, classes):
        sys.exit(3)

    def missing_checkpoint(shape, classes):
        model = Tutorial(shape, classes)
        model.load_state_dict(torch.load("not/there.pt", weights_only=True))
        return model

    def wrong_keys(shape, classes):
        model = Tutorial(shape, classes)
        model.load_state_dict({"module." + name: value for name, value in model.state_dict().items()})
        return model

    def other_size(shape, classes):
        return torchvision.models.vit_b_16(image_size=224, num_classes=classes)

    class InTraining(Tutorial):
        def forward(self, images):
            logits = super().forward(images)
            return (logits, logits) if self.training else logits

    class Detached(Tutorial):
        def forward(self, images):
            return super().forward(images).detach()

    class Raises(Tutorial):
        def forward(self, images):
            if torch.is_grad_enabled():
                raise LookupError("no gradient, please")
            return super().forward(images)

    class Backward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):
            return values.clone()

        @staticmethod
        def backward(ctx, errors):
            raise ArithmeticError("backwards")

    class FailsBackwards(Tutorial):
        def forward(self, images):
            return Backward.apply(super().forward(images))

    def all_frozen(shape, classes):
        return Tutorial(shape, classes).requires_grad_(False)
"""
REFUSED = {
    "key_error": "KeyError: 'layers'",
    "leaves": "SystemExit: 3",
    "missing_checkpoint": "FileNotFoundError: [Errno 2] No such file or directory: 'not/there.pt'",
    "wrong_keys": "RuntimeError: Error(s) in loading state_dict for Tutorial: Missing key(s)",
    "other_size": "AssertionError: Wrong image height!",
    "two_heads": "output for 2 images is a tuple, not (2, 10): return one tensor, with one row of 10 outputs",
    "one_output": "output for 2 images is (2, 1), not (2, 10)",
    "InTraining": "with batch_norm eval, dropout on, its network's output for 2 images is a tuple, not (2, 10)",
    "Detached": "no update can be computed",
    "Raises": "LookupError: no gradient, please",
    "FailsBackwards": "ArithmeticError: backwards",
    "all_frozen": "all its parameters are frozen",
}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "faulty_models.py").write_text(dedent(MODULE))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "faulty_models", raising=False)
    monkeypatch.setenv(CONSENT, ",".join(f"faulty_models:{name}" for name in (*REFUSED, "plain")))
    return "faulty_models"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_is_refused(
    name: str, module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = {"kind": "factory", "path": f"{module}:{name}"}
    file = write_scenario(tmp_path, model=model, federation__client__dropout=name == "InTraining")
    for arguments in (("validate", file, "--data"), ("run", file, "--out", tmp_path / "run")):
        outcome = command(capsys, *arguments)
        assert outcome.code == 2, outcome
        (error,) = outcome.errors
        assert error.startswith(f"model.path: got '{module}:{name}'")
        assert REFUSED[name] in error
        assert "Traceback" not in outcome.err
    assert not (tmp_path / "run").exists()


def test_a_model_that_can_be_trained_is_valid(module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_scenario(tmp_path, model={"kind": "factory", "path": f"{module}:plain"})
    outcome = command(capsys, "validate", file, "--data")
    assert (outcome.code, outcome.errors) == (0, [])
