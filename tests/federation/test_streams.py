"""The clients' secret: the same for the same scenario, out of reach of whoever has the transcript, kept over a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedleak import seeds
from fedleak.data.sources.base import LabelledImages
from fedleak.errors import InputError
from fedleak.federation.plan import make_plan
from fedleak.federation.sampling import draw_images
from fedleak.federation.streams import SECRET, Streams, repeatable_secret, stored_secret, system_secret
from fedleak.progress import QuietProgress
from fedleak.run_directory import RunDirectory, federation_fingerprint, scenario_fingerprint
from fedleak.stages.federate import federate, plan_federation
from fedleak.stages.score.truth import TruthReader
from fedleak.transcript.manifest import load_manifest
from fedleak.transcript.reader import TranscriptReader
from fedleak.transcript.writer import TranscriptWriter
from tests.scenarios import run_federation, scenario, streams, tree

SYSTEM = {"federation__randomness": "system"}
PLAIN: dict[str, Any] = {
    "adversary__level": 3,
    "adversary__injection": None,
    "attacks": ["dlg"],
    "federation__rounds": 1,
}
NOISE: dict[str, Any] = {"federation__client__postprocess": [{"kind": "gaussian_noise", "std": 0.05}]}
SEEDS = range(50)


def images(count: int = 3, *, value: int = 0) -> LabelledImages:
    """Black images, the last pixel of the last one of ``value``."""
    pixels = np.zeros((count, 1, 2, 2), dtype=np.uint8)
    pixels[-1, -1, -1, -1] = value
    return LabelledImages(pixels, np.arange(count, dtype=np.int64))


def test_the_repeatable_secret_is_pinned() -> None:
    """Another value here changes every transcript ever recorded."""
    assert repeatable_secret(0, images()) == "a618525132b7d2839c618d64b9176ac06e6fbc5d186823943c4686fb1cb6755c"


def test_the_secret_depends_on_the_seed_every_pixel_every_label_and_the_shape() -> None:
    relabelled = LabelledImages(images().images, np.zeros(3, dtype=np.int64))
    flat = LabelledImages(images().images.reshape(3, 1, 1, 4), images().labels)
    found = [repeatable_secret(0, data) for data in (images(), images(value=1), images(4), relabelled, flat)]
    assert len({*found, repeatable_secret(1, images())}) == 6
    fortran = LabelledImages(np.asfortranarray(images().images), images().labels)
    assert repeatable_secret(0, fortran) == found[0]


def test_roots_differ_and_the_secret_is_in_no_text_of_them() -> None:
    found = Streams(system_secret())
    roots = [found.secret, found.nonce, found.server, found.client(0), found.client(1)]
    assert len(set(roots)) == 5
    assert found.secret not in repr(found)


def test_the_secret_lies_in_truth_alone_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    run = run_federation(tmp_path / "run", scenario(**PLAIN))
    own = streams(run.root)
    assert own == make_plan(scenario(**PLAIN)).streams
    assert load_manifest(run.transcript).nonce == own.nonce
    assert (run.truth / SECRET).stat().st_mode & 0o777 == 0o600
    for path in (path for path in run.root.rglob("*") if path.is_file() and path != run.truth / SECRET):
        content = path.read_bytes()
        for text in (own.secret, own.server, *(own.client(client) for client in range(3))):
            assert text.encode() not in content, path
            assert bytes.fromhex(text) not in content, path


def undone(shared: torch.Tensor, layout: Any, root: int | str, *name: str | int) -> torch.Tensor:
    """The shared update ``(D,)`` without the noise of a stream."""
    draws = seeds.torch_generator(root, *name)
    noise = {slot.name: torch.empty(slot.shape).normal_(generator=draws) for slot in layout.slots}
    return shared - 0.05 * layout.flatten(noise)


def test_who_finds_the_seed_can_neither_undo_noise_nor_recompute_batches(tmp_path: Path) -> None:
    """The attack of an attack's author: the seed from the initial model, then every stream that it leads to."""
    noisy = run_federation(tmp_path / "noisy", scenario(**PLAIN, **NOISE, seed=17))
    clean = TranscriptReader(run_federation(tmp_path / "clean", scenario(**PLAIN, seed=17)).transcript)
    reader, truth, checked = TranscriptReader(noisy.transcript), TruthReader(noisy.truth), noisy.scenario()
    record = reader.manifest.updates[0]
    first = reader.model(0)
    found = [s for s in SEEDS if torch.equal(version_0(checked, s)["1.weight"], first["1.weight"])]
    assert found == [17], "the initial model is public, and so is its seed"

    original, shared = clean.update(record.row), reader.update(record.row)
    own = streams(noisy.root).client(record.client)
    errors = {
        root: float((undone(shared, reader.manifest.parameters, root, *name) - original).square().mean().sqrt())
        for root, name in [
            (own, ("postprocess", "train", 1, 0)),  # the control: with the client's key the noise is gone
            (17, ("postprocess", "train", record.client, 1, 0)),
            (seeds.key(17, "client", record.client), ("postprocess", "train", 1, 0)),
            (seeds.key(reader.manifest.stream_root, "client", record.client), ("postprocess", "train", 1, 0)),
        ]
    }
    assert errors.pop(own) < 1e-7
    assert min(errors.values()) > 0.06, "noise subtracted from other noise: sqrt(2) times 0.05"

    held = make_plan(checked).clients[record.client]
    used = truth.batch(record.row).images
    for root, right in [(own, True), (seeds.key(17, "client", record.client), False)]:
        places = draw_images(checked.federation.client, key=root, round_number=1, held=len(held))
        assert bool((torch.from_numpy(held.images[places]).float() / 255 == used).all()) == right


def version_0(checked: Any, seed: int) -> dict[str, torch.Tensor]:
    """The initial model of a seed, as anyone can compute it."""
    return dict(checked.model.build((1, 8, 8), 10, seed=seeds.derive(seed, "model")).state_dict())


def test_no_seed_leads_to_the_generators_of_attacks(tmp_path: Path) -> None:
    manifest = load_manifest(run_federation(tmp_path, scenario(**PLAIN, seed=17)).transcript)
    given = seeds.torch_generator(manifest.stream_root, "attack", "dlg", 1, 1).initial_seed()
    assert given not in {seeds.derive(s, "attack", "dlg", 1, 1) for s in SEEDS}
    assert given not in {seeds.derive(seeds.key(s, "adversary"), "attack", "dlg", 1, 1) for s in SEEDS}


def test_another_seed_varies_partition_batches_noise_and_attacks() -> None:
    plans = [make_plan(scenario(**PLAIN, seed=seed)) for seed in (0, 1)]
    assert plans[0].streams.nonce != plans[1].streams.nonce
    for client in range(3):
        assert plans[0].streams.client(client) != plans[1].streams.client(client)
        assert not np.array_equal(plans[0].clients[client].images, plans[1].clients[client].images)


def test_settings_that_change_no_image_keep_the_draws_so_that_cells_of_a_study_are_paired() -> None:
    first, second = (make_plan(scenario(**PLAIN, **changes)) for changes in ({}, NOISE))
    assert first.streams == second.streams


def test_system_randomness_is_new_every_time_and_seeds_do_not_lead_to_it(tmp_path: Path) -> None:
    first, second = (run_federation(tmp_path / name, scenario(**PLAIN, **SYSTEM)) for name in "ab")
    roots = [streams(run.root) for run in (first, second)]
    assert roots[0].secret != roots[1].secret
    assert make_plan(scenario(**PLAIN)).streams.secret not in {root.secret for root in roots}
    assert tree(first.truth) != tree(second.truth)
    assert (
        TranscriptReader(first.transcript)
        .model(0)["1.weight"]
        .equal(TranscriptReader(second.transcript).model(0)["1.weight"])
    )


@pytest.mark.parametrize("changes", [{}, SYSTEM])
def test_an_interrupted_federation_continues_with_its_secret(
    tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = scenario(**(PLAIN | {"federation__rounds": 3} | changes))
    run = interrupted(tmp_path, checked, monkeypatch)
    begun = streams(run.root)
    run_federation(tmp_path, checked)
    assert streams(run.root) == begun
    rounds = TranscriptReader(run.transcript).manifest.rounds
    assert [record.round for record in rounds] == [1, 2, 3]


def test_an_interrupted_federation_of_other_images_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = scenario(**(PLAIN | {"federation__rounds": 3}))
    run = interrupted(tmp_path, checked, monkeypatch)
    for content in ("0" * 64, None):
        (run.truth / SECRET).unlink() if content is None else (run.truth / SECRET).write_text(content)
        before = tree(run.root)
        with pytest.raises(InputError, match=r"its federation began with other images of the clients.*--force"):
            run_federation(tmp_path, checked)
        assert tree(run.root) == before


def interrupted(root: Path, checked: Any, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run that was killed in its second round."""
    run = RunDirectory(root)
    original = TranscriptWriter.finish_round

    def deadly(self: TranscriptWriter, *args: Any) -> None:
        original(self, *args)
        raise KeyboardInterrupt

    plan = plan_federation(checked, run)
    assert plan is not None
    with monkeypatch.context() as patch, run.claim(checked, force=False):
        patch.setattr(TranscriptWriter, "finish_round", deadly)
        with pytest.raises(KeyboardInterrupt):
            federate(plan, run, QuietProgress())
    return run


@pytest.mark.parametrize("content", [b"", b"12", b"\xff" * 64, b"g" * 64])
def test_a_damaged_secret_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SECRET).write_bytes(content)
    with pytest.raises(InputError, match=r"truth: got .*secret"):
        stored_secret(tmp_path)


def test_the_default_keeps_the_hashes_of_older_scenarios() -> None:
    system = scenario(**SYSTEM)
    for fingerprint in (federation_fingerprint, scenario_fingerprint):
        assert fingerprint(scenario()) == fingerprint(scenario(federation__randomness="repeatable"))
        assert fingerprint(scenario()) != fingerprint(system)
    raw = scenario().model_dump(mode="json")
    assert raw["federation"]["randomness"] == "repeatable"
