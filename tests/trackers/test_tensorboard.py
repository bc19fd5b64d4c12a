from __future__ import annotations

from pathlib import Path

import pytest

from fedleak.errors import TrackingError
from fedleak.trackers.tensorboard import TensorBoard
from tests.trackers.builders import entry

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def test_everything_is_read_back_by_tensorboard_itself(tmp_path: Path) -> None:
    logged = entry(tmp_path)
    assert TensorBoard(target=str(tmp_path / "tb")).log(logged)
    (folder,) = (tmp_path / "tb" / "a_study").iterdir()
    assert folder.name == "pairs=30_seed_0-01234567"
    events = accumulator.EventAccumulator(str(folder)).Reload()
    scalars = {
        tag: [(event.step, pytest.approx(event.value)) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    assert scalars == {
        "score/lti/mse": [(0, 0.25)],
        "score_low/lti/mse": [(0, 0.2)],
        "score_high/lti/mse": [(0, 0.3)],
        "score/lti/psnr": [(0, 6.0)],
        "cost/lti/training_seconds": [(0, 1.5)],
        "curve/lti/held_out": [(1, 0.5), (2, 0.4), (3, 0.3)],
    }
    (picture,) = events.Images("picture/lti/round-1-victim-1-image-0")
    assert (picture.width, picture.height) == (10, 3)
    texts = {tag: events.Tensors(f"{tag}/text_summary")[0].tensor_proto.string_val[0].decode() for tag in _TEXTS}
    assert "| federation.clients | 4 |" in texts["settings"]
    assert logged.report_link in texts["report"]
    assert "reproduced: it holds" in texts["facts"]


_TEXTS = ("settings", "report", "facts")


def test_what_is_there_is_not_logged_again(tmp_path: Path) -> None:
    tracker = TensorBoard(target=str(tmp_path / "tb"))
    assert tracker.log(entry(tmp_path))
    assert not tracker.log(entry(tmp_path))
    assert tracker.log(entry(tmp_path, key="ffffffffffff"))
    assert len(list((tmp_path / "tb" / "a_study").iterdir())) == 2


def test_names_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    TensorBoard(target=str(tmp_path / "tb")).log(entry(tmp_path, group="../..", name="/etc/x"))
    assert [path.name for path in tmp_path.glob("tb/*/*")] == ["_etc_x-01234567"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "tb").write_text("a file")
    with pytest.raises(TrackingError, match="tensorboard: "):
        TensorBoard(target=str(tmp_path / "tb")).log(entry(tmp_path))
