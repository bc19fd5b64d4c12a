"""``fedleak import`` as a user types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fedleak.models.factory import CONSENT
from fedleak.stages.score.truth import TruthReader
from fedleak.transcript.reader import TranscriptReader
from tests.audit.observations import PATH, batch, loss, net, trained
from tests.scenarios import command

COMMON = ("import", "--model", PATH, "--classes", "10", "--input-shape", "1,8,8", "--quiet")
Capture = pytest.CaptureFixture[str]


def gradient(model: nn.Module, number: int) -> dict[str, torch.Tensor]:
    names = [name for name, _ in model.named_parameters()]
    return dict(zip(names, torch.autograd.grad(loss(model, number), list(model.parameters())), strict=True))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same gradient in three formats, a broadcast, a pair of weights, and the images."""
    monkeypatch.setenv(CONSENT, PATH)
    monkeypatch.chdir(tmp_path)
    model = net().eval()
    found = gradient(model, 0)
    torch.save(list(found.values()), "g.pt")
    save_file(found, "g.safetensors")
    np.savez("g.npz", **{name: value.numpy() for name, value in found.items()})
    torch.save(model.state_dict(), "broadcast.pt")
    torch.save({"before": model.state_dict(), "after": trained(model, 0).state_dict()}, "pair.pt")
    images, labels = batch(0)
    np.savez("truth.npz", images=images.numpy(), labels=labels.numpy())
    torch.save({"images": batch(9)[0].float() / 255, "labels": batch(9)[1]}, "public.pt")
    return tmp_path


def test_one_gradient_in_every_format_gives_the_same_record(files: Path, capsys: Capture) -> None:
    rows = []
    for name in ("g.pt", "g.safetensors", "g.npz"):
        arguments = ("--updates", name, "--kind", "gradient", "--broadcast", "broadcast.pt", "--samples", "2")
        outcome = command(capsys, *COMMON, *arguments, "--out", f"run-{name}")
        assert outcome.code == 0, outcome.err
        assert outcome.out.strip() == f"run-{name}"
        rows.append(TranscriptReader(files / f"run-{name}" / "transcript").update(0))
    expected = torch.cat([each.flatten() for each in gradient(net().eval(), 0).values()])
    assert all(torch.equal(row, expected) for row in rows)


def test_several_pairs_with_truth_public_images_and_what_is_known(files: Path, capsys: Capture) -> None:
    Path("other.pt").write_bytes(Path("pair.pt").read_bytes())
    known = (
        "--batch-norm",
        "eval",
        "--learning-rate",
        "0.1",
        "--epochs",
        "1",
        "--batch-size",
        "2",
        "--momentum",
        "0.5",
    )
    data = ("--truth", "truth.npz", "--truth", "truth.npz", "--public", "public.pt", "--mean", "0.25", "--std", "0.5")
    attack = ("--attack", "{kind: inverting_averaging, iterations: 7}", "--attack", "linear_layer")
    outcome = command(capsys, *COMMON, "--updates", "pair.pt", "other.pt", *known, *data, *attack, "--out", "run")
    assert outcome.code == 0, outcome.err
    reader = TranscriptReader(files / "run" / "transcript")
    assert [(u.client, u.samples) for u in reader.manifest.updates] == [(0, 2), (1, 2)]
    assert (reader.manifest.mean, reader.manifest.std) == ((0.25,), (0.5,))
    assert reader.manifest.training.local_sgd["momentum"] == 0.5
    assert reader.manifest.training.batch_norm == "eval"
    assert np.array_equal(reader.public()[0], batch(9)[0].numpy())
    truth = TruthReader(files / "run" / "truth").batch(1)
    assert torch.equal(truth.labels, batch(0)[1])
    expected = net().state_dict()["fc2.bias"] - trained(net().eval(), 0).state_dict()["fc2.bias"]
    torch.testing.assert_close(reader.manifest.parameters.unflatten(reader.update(0))["fc2.bias"], -expected)


def test_names_of_files_may_say_round_and_client(files: Path, capsys: Capture) -> None:
    for number, client in ((1, 3), (2, 3)):
        Path(f"round-{number}_client{client}.pt").write_bytes(Path("pair.pt").read_bytes())
    outcome = command(
        capsys, *COMMON, "--updates", *sorted(map(str, Path().glob("round*"))), "--samples", "2", "--out", "run"
    )
    assert outcome.code == 0, outcome.err
    updates = TranscriptReader(files / "run" / "transcript").manifest.updates
    assert [(update.round, update.client) for update in updates] == [(1, 3), (2, 3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--updates", "g.pt", "--samples", "2"), "say what it is with --kind gradient, delta or weights"),
        (("--updates", "g.pt", "--samples", "2", "--kind", "gradient"), "--broadcast: got None; the weights on which"),
        (("--updates", "g.pt", "--samples", "2", "--kind", "guess"), "expected one of gradient, delta, weights"),
        (("--updates", "pair.pt"), "--samples: got None; expected the number of images"),
        (("--updates", "pair.pt", "--samples", "2", "--batch-norm", "on"), "expected one of eval, train_shared"),
        (("--samples", "2"), "--updates: got None; expected at least one file"),
        (("--updates", "pair.pt", "pair.pt", "--truth", "truth.npz"), "expected one for each of 2 updates"),
        (("--updates", "truth.npz", "--samples", "2", "--kind", "delta", "--broadcast", "broadcast.pt"), "truth.npz"),
        (("--updates", "pair.pt", "--truth", "g.npz"), "expected 'images' (N, C, H, W) and 'labels' (N,)"),
        (("--updates", "pair.pt", "--samples", "2", "--mean", "half"), "--mean: got 'half'; expected numbers"),
        (("--updates", "pair.pt", "--samples", "2", "--attack", "no_such"), "known kinds"),
        (
            ("--updates", "nan.pt", "--samples", "2", "--kind", "delta", "--broadcast", "broadcast.pt"),
            "NaN or infinite",
        ),
        (("--updates", "half.pt", "--samples", "2"), "weights 'before' training, but none 'after'"),
        (("--updates", "broadcast.pt", "--samples", "2", "--kind", "weights", "--broadcast", "broadcast.pt"), "zero"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_one_message(
    files: Path, capsys: Capture, arguments: tuple[str, ...], message: str
) -> None:
    torch.save([torch.full_like(each, torch.nan) for each in net().parameters()], "nan.pt")
    torch.save({"before": net().state_dict()}, "half.pt")
    outcome = command(capsys, *COMMON, *arguments, "--out", "run")
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not Path("run").exists()


def test_code_is_imported_only_with_the_users_word(
    files: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CONSENT)
    outcome = command(capsys, *COMMON, "--updates", "pair.pt", "--samples", "2", "--out", "run")
    assert outcome.code == 2
    assert f"{CONSENT}={PATH}" in outcome.err
