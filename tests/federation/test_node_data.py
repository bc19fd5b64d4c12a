"""A client's images and keys: where they come from, and what a node says about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.app.user_config import UserConfig

from fedleak.data.sources.base import LabelledImages
from fedleak.federation.node_data import arrays, fingerprint, identity, told_to, write_node_folder
from fedleak.version import __version__
from tests.federation.messages import instruction, request
from tests.federation.small import labelled

DATA = labelled(("++++", "+-+-"), (0, 1))


def context(**config: Any) -> Context:
    """A node's, with this ``--node-config``."""
    named = {name.replace("_", "-"): value for name, value in config.items()}
    return Context(run_id=1, node_id=7, node_config=UserConfig(named), state=RecordDict(), run_config=UserConfig())


def message(**changes: Any) -> Message:
    return request(0, told=instruction(**changes))


def test_a_simulated_client_is_told_folder_and_key() -> None:
    told = told_to(message(data="/run/truth", public="/run/public", key="k"), context(partition_id=3))
    assert (told.data, told.public, told.key) == ("/run/truth/00003", "/run/public", "k")


def test_a_node_ignores_what_the_server_says_about_folders_and_keys(tmp_path: Path) -> None:
    write_node_folder(tmp_path, DATA, key="mine")
    told = told_to(message(data="/etc", public="/etc", key="k"), context(partition_id=0, data=str(tmp_path)))
    assert (told.data, told.public, told.key) == (str(tmp_path), str(tmp_path / "public"), "mine")


def test_a_node_without_a_folder_says_how_to_start_it() -> None:
    with pytest.raises(ValueError, match=r"--node-config 'partition-id=N data=\"FOLDER\"'"):
        told_to(message(data=""), context(partition_id=0))


def test_a_node_without_a_key_derives_one_from_its_images_its_number_and_the_run(tmp_path: Path) -> None:
    for name, data in {"a": DATA, "b": labelled(("++++", "+-++"), (0, 1))}.items():
        write_node_folder(tmp_path / name, data, key="")
        (tmp_path / name / "key").unlink()

    def key(folder: str, client: int, nonce: str) -> str:
        told = told_to(message(data="", key=nonce), context(partition_id=client, data=str(tmp_path / folder)))
        return told.key

    keys = [key("a", 0, "n"), key("b", 0, "n"), key("a", 1, "n"), key("a", 0, "m")]
    assert len({*keys}) == 4
    assert {len(found) for found in keys} == {64}
    assert key("a", 0, "n") == keys[0]


def test_what_a_node_says_about_itself(tmp_path: Path) -> None:
    assert dict(identity(context(partition_id=2))) == {"partition-id": 2}
    write_node_folder(tmp_path, DATA, key="mine")
    own = context(partition_id=2, data=str(tmp_path))
    said = {"partition-id": 2, "version": __version__, "images": 2, "shape": [1, 2, 2]}
    assert dict(identity(own)) == said | {"fingerprint": fingerprint("mine", DATA)}
    (tmp_path / "key").unlink()
    assert dict(identity(own)) == said


def test_a_fingerprint_depends_on_key_images_and_labels() -> None:
    other = LabelledImages(DATA.images[::-1], DATA.labels)
    relabelled = LabelledImages(DATA.images, DATA.labels[::-1])
    prints = [fingerprint("a", DATA), fingerprint("b", DATA), fingerprint("a", other), fingerprint("a", relabelled)]
    assert len(set(prints)) == 4


@pytest.mark.parametrize(
    ("images", "labels", "reason"),
    [
        (np.zeros((2, 4), np.uint8), np.zeros(2, np.int64), "expected uint8"),
        (np.zeros((2, 1, 2, 2), np.float64), np.zeros(2, np.int64), "got float64"),
        (np.zeros((2, 1, 2, 2), np.uint8), np.zeros(3, np.int64), r"expected \(2,\)"),
        (np.zeros((2, 1, 2, 2), np.uint8), np.zeros(2), "got float64"),
        (np.zeros((0, 1, 2, 2), np.uint8), np.zeros(0, np.int64), "labels.npy"),
    ],
)
def test_images_that_cannot_be_used(tmp_path: Path, images: Any, labels: Any, reason: str) -> None:
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(ValueError, match=reason):
        identity(context(partition_id=0, data=str(tmp_path)))


def test_a_dealt_folder_is_private_and_may_be_dealt_again(tmp_path: Path) -> None:
    folder = tmp_path / "00000"
    write_node_folder(folder, DATA, key="first")
    write_node_folder(folder, DATA, key="second", public=labelled(("----",), (1,)))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert (folder / "key").read_text() == "second"
    np.testing.assert_array_equal(arrays(str(folder))[0], DATA.images)
    np.testing.assert_array_equal(arrays(str(folder / "public"))[1], [1])
