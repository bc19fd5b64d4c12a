"""A recorded app becomes a run that can be attacked and scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedleak.audit.app_run import AppFacts, write_app_run
from fedleak.audit.recorded import Recorded
from fedleak.audit.recorder import RecordedServerApp
from fedleak.audit.watcher import SEEN, RecordedClientApp
from fedleak.errors import InputError
from fedleak.models.factory import CONSENT
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.transcript.reader import TranscriptReader
from tests.audit.flower import CLIENT, SERVER, importable, run

MODEL = "smallapp.task:Net"


class Said(QuietProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def say(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def _app(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(CONSENT, f"{MODEL},smallapp.task:train")
    with importable():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with truth."""
    folder = tmp_path_factory.mktemp("audit") / "recording"
    folder.mkdir()
    with importable():
        run(RecordedServerApp(SERVER, str(folder)), RecordedClientApp(CLIENT, str(folder)), folder.parent / "final.npz")
    return folder


def make(folder: Path, out: Path, **facts: Any) -> tuple[Any, list[str]]:
    said = Said()
    written = write_app_run(
        Recorded.read(folder), AppFacts(MODEL, **facts), out, name="small", force=False, progress=said
    )
    return written, said.notes


def test_the_run_knows_what_the_app_did_and_is_attacked_and_scored(folder: Path, tmp_path: Path) -> None:
    written, notes = make(folder, tmp_path / "run")
    scenario = written.scenario()
    client = scenario.federation.client
    assert (client.local_epochs, client.batch_size, client.local_learning_rate) == (2, 2, 0.1)
    assert client.local_sgd.momentum == 0.5
    assert client.batch_norm == "train_shared"
    assert any("replies are taken for new weights" in note for note in notes)
    reader, found = TranscriptReader(written.transcript), Recorded.read(folder)
    assert [(update.round, update.client, update.samples) for update in reader.manifest.updates] == [
        (number, partition, 4) for number in (1, 2) for partition in (0, 1)
    ]
    assert reader.manifest.classes == 5
    assert reader.manifest.mean == (0.5, 0.5, 0.5)
    by_client = {found.replies[one.message].config["about"]["partition"]: one for one in found.sent[:2]}
    sent = found.arrays(by_client[1].arrays["arrays"])
    reply = found.arrays(found.replies[by_client[1].message].arrays["arrays"])
    names = [slot.name for slot in reader.manifest.parameters.slots]
    assert names[0] == "conv.weight"
    row = np.load(written.transcript / "updates.npy")[1]
    delta = np.concatenate([(reply[name].astype(float) - sent[name]).reshape(-1) for name in names])
    np.testing.assert_array_equal(row, delta.astype(np.float32))
    settings = ["attacks.0.iterations=3", "metrics.lpips=null"]
    results = attack_run(written, progress=QuietProgress(), overrides=settings, isolated=False)
    assert results is not None
    assert results.attacks[0].metrics["mse"].mean > 0
    assert {row.status for row in results.rows} == {"ok"}


def test_truth_holds_the_eight_bit_images(folder: Path, tmp_path: Path) -> None:
    from smallapp.task import load_data  # type: ignore[import-not-found]

    written, _ = make(folder, tmp_path / "run")
    stored = np.load(written.truth / "00001" / "images.npy")
    images, _ = load_data(1)
    wanted = torch.round((images * 0.5 + 0.5) * 255).to(torch.uint8).numpy()
    assert {image.tobytes() for image in stored} == {image.tobytes() for image in wanted}


def test_without_truth_settings_and_shape_come_from_the_app_and_its_network(folder: Path, tmp_path: Path) -> None:
    recorded = Recorded.read(folder)
    blind = Recorded(tmp_path, recorded.begin, recorded.sent, recorded.replies, recorded.ending)
    (tmp_path / "arrays").symlink_to(folder / "arrays")
    assert not (tmp_path / SEEN).exists()
    facts = AppFacts(MODEL, input_shape=(3, 8, 8), mean=(0.5,), std=(0.5,))
    said = Said()
    written = write_app_run(blind, facts, tmp_path / "run", name="blind", force=False, progress=said)
    client = written.scenario().federation.client
    assert (client.local_epochs, client.batch_size, client.local_learning_rate) == (2, 2, 0.1)
    assert not written.truth.exists()
    assert any("clients train as settings of the app say" in note for note in said.notes)
    assert any("clients are numbered 0 to 1 in the order" in note for note in said.notes)
    with pytest.raises(InputError, match="--input-shape: got None; the network takes none that was tried"):
        write_app_run(blind, AppFacts(MODEL), tmp_path / "b", name="b", force=False, progress=said)


def test_what_does_not_fit_is_refused_and_the_recording_stays(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"truth.images: got 'float32 from .* expected uint8, or floating point"):
        make(folder, tmp_path / "a", mean=(0.9,), std=(1.0,))
    with pytest.raises(InputError, match="give --mean and --std together"):
        make(folder, tmp_path / "b", mean=(0.5,))
    with pytest.raises(InputError, match="it must be told images and classes"):
        write_app_run(
            Recorded.read(folder),
            AppFacts("smallapp.task:train"),
            tmp_path / "c",
            name="c",
            force=False,
            progress=Said(),
        )
    assert Recorded.read(folder).ending is not None
