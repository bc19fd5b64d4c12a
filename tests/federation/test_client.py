"""The client's apps, called over a serial grid: what they answer, and what they keep."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, Message, MessageType, RecordDict
from torch import Tensor

from fedleak.client.augment.public_samples import PublicSamples
from fedleak.client.dp_sgd import DpSgd
from fedleak.client.guard.pass_through import PassThrough
from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.client.postprocess.l2_clipping import L2Clipping
from fedleak.client.postprocess.top_k import TopK
from fedleak.federation import client as client_app
from fedleak.federation.client import DRIFTED, LOCAL_BUFFERS, RESIDUAL, app
from fedleak.federation.exchange import exchange
from fedleak.federation.serial_grid import FIRST_NODE, SerialGrid
from fedleak.federation.wire import INJECT, WHOAMI, Instruction, Reply, broadcast, inject
from fedleak.models.convnet import ConvNet
from fedleak.models.mlp import Mlp
from fedleak.scenario.schema import ClientSettings, Drift
from tests.federation.messages import instruction
from tests.federation.small import LOSS, check_close, gradient, mean, pixels, times, zeros

State = dict[str, Tensor]
NORM = float(np.sqrt(2.5))
"""Of the gradient of one image: 8 values and 2 of one half."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Clients 0 and 1 with an image each, client 2 with two; and the public images."""
    held = {"00000": (("++++",), (0,)), "00001": (("+-+-",), (1,)), "00002": (("++--", "+---"), (1, 0))}
    for name, (pictures, labels) in (held | {"public": (("----",), (1,))}).items():
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "images.npy", pixels(*pictures))
        np.save(tmp_path / name / "labels.npy", np.array(labels))
    return tmp_path


class Clients:
    """Three clients of one process.

    Attributes:
        grid: they keep what they keep in its contexts.
    """

    def __init__(self, data: Path) -> None:
        self.grid = SerialGrid(app, 3)
        self._told = {"data": str(data), "public": str(data / "public")}

    def told(self, **changes: Any) -> Instruction:
        """Settings of the instruction and, under their own names, of the client."""
        own = {name: changes.pop(name) for name in list(changes) if name in ClientSettings.model_fields}
        return instruction(**(self._told | {"client": ClientSettings(**own)} | changes))

    def ask(self, content: RecordDict, client: int, kind: str) -> Message:
        """The reply of one client."""
        message = Message(content, dst_node_id=FIRST_NODE + client, message_type=kind)
        (reply,) = exchange(self.grid, [message], timeout=5, stop=threading.Event())
        return reply

    def train(self, client: int, *, model: State | None = None, **changes: Any) -> Reply:
        """What a client answers to the network of zeros, unless another model is given."""
        arrays = ArrayRecord(torch_state_dict=model or zeros())
        reply = self.ask(broadcast(arrays, self.told(**changes)), client, MessageType.TRAIN)
        if reply.has_error():
            raise RuntimeError(reply.error.reason)
        return Reply.of(reply)

    def inject(self, pictures: list[tuple[str, ...]], labels: list[list[int]], **changes: Any) -> Reply:
        """What client 1 answers to batches."""
        images = np.stack([pixels(*batch) for batch in pictures])
        content = inject(
            ArrayRecord(torch_state_dict=zeros()), self.told(**changes), images, np.array(labels, np.int64)
        )
        return Reply.of(self.ask(content, 1, INJECT))

    def kept(self, client: int, name: str) -> State:
        """Arrays in a client's memory."""
        return self.grid._contexts[FIRST_NODE + client].state.array_records[name].to_torch_state_dict()


@pytest.fixture
def clients(data: Path) -> Clients:
    """With those data."""
    return Clients(data)


def norm(update: Any) -> float:
    """Of all values together."""
    return float(torch.cat([tensor.flatten() for tensor in update.values()]).norm())


def test_a_node_tells_which_partition_it_holds(clients: Clients) -> None:
    reply = clients.ask(RecordDict(), 2, WHOAMI)
    assert reply.content.config_records["identity"]["partition-id"] == 2


def test_fedsgd_shares_the_gradient(clients: Clients) -> None:
    for client, (picture, label) in enumerate((("++++", 0), ("+-+-", 1))):
        reply = clients.train(client)
        check_close(reply.update, gradient(picture, label))
        assert (reply.samples, reply.clients) == (1, 1)
        assert reply.loss == pytest.approx(LOSS)
        assert (reply.buffers, reply.statistics) == ({}, {})


def test_a_batch_is_the_mean_of_its_images(clients: Clients) -> None:
    reply = clients.train(2, batch_size=2)
    check_close(reply.update, mean(gradient("++--", 1), gradient("+---", 0)))
    assert reply.samples == 2


def test_fedavg_shares_the_weight_delta_of_all_images_held(clients: Clients) -> None:
    """One step of the learning rate 0.1 on both images at once."""
    reply = clients.train(2, protocol="fedavg", batch_size=2, local_learning_rate=0.1)
    check_close(reply.update, times(-0.1, mean(gradient("++--", 1), gradient("+---", 0))))
    assert reply.samples == 2


def test_only_so_many_images_as_are_wanted_are_used(clients: Clients) -> None:
    reply = clients.train(2, protocol="fedavg", batch_size=2, samples=1, local_learning_rate=1.0)
    assert reply.samples == 1
    either = [times(-1.0, gradient(picture, label)) for picture, label in (("++--", 1), ("+---", 0))]
    assert any(torch.allclose(reply.update["1.weight"], own["1.weight"]) for own in either)


def test_images_are_drawn_by_seed_and_round(clients: Clients) -> None:
    first = [clients.train(2, round=number).update["1.weight"] for number in range(1, 9)]
    again = [clients.train(2, round=number).update["1.weight"] for number in range(1, 9)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({tuple(tensor.flatten().tolist()) for tensor in first}) == 2, "now one image, now the other"


def test_injected_batches_are_answered_one_by_one(clients: Clients) -> None:
    reply = clients.inject([("++++", "+-+-"), ("++--", "----")], [[0, 1], [1, 1]], batch_size=2)
    stacked = {
        name: torch.stack([first, mean(gradient("++--", 1), gradient("----", 1))[name]])
        for name, first in mean(gradient("++++", 0), gradient("+-+-", 1)).items()
    }
    check_close(reply.update, stacked)
    assert (reply.samples, reply.loss, reply.buffers) == (None, None, {})


def test_an_update_is_postprocessed_and_so_is_every_pair_of_its_own(clients: Clients) -> None:
    """A gradient of norm 1.58 is clipped to 1; one of norm 0 (two labels for one image) stays."""
    clip = {"postprocess": (L2Clipping(max_norm=1.0),), "batch_size": 2}
    check_close(clients.train(0, **(clip | {"batch_size": 1})).update, times(1 / NORM, gradient("++++", 0)))
    reply = clients.inject([("++++", "++++"), ("+-+-", "+-+-")], [[0, 0], [0, 1]], **clip)
    check_close({name: t[0] for name, t in reply.update.items()}, times(1 / NORM, gradient("++++", 0)))
    check_close({name: t[1] for name, t in reply.update.items()}, zeros())


def test_noise_is_drawn_by_client_round_and_pair(clients: Clients) -> None:
    noisy = {"postprocess": (GaussianNoise(std=1.0),)}
    clean = gradient("+-+-", 1)["1.weight"]

    def noise(update: Any, row: int | None = None) -> tuple[float, ...]:
        weight = update["1.weight"] if row is None else update["1.weight"][row]
        return tuple((weight - clean).flatten().tolist())

    pairs = clients.inject([("+-+-",), ("+-+-",)], [[1], [1]], **noisy).update
    later = clients.inject([("+-+-",)], [[1]], first_pair=1, **noisy).update
    draws = [noise(clients.train(1, **noisy).update), noise(clients.train(1, round=2, **noisy).update)]
    draws += [noise(pairs, 0), noise(pairs, 1)]
    assert len(set(draws)) == 4
    assert noise(later, 0) == noise(pairs, 1), "a pair's noise is that of its number, in whichever message"
    assert noise(clients.train(1, **noisy).update) == draws[0]


def test_error_feedback_keeps_what_was_left_out_and_shares_it_later(clients: Clients) -> None:
    """The larger half of ten equal values: five first, and what is left doubles the other five."""
    feedback = {"postprocess": (TopK(share=0.5, scope="global"),), "error_feedback": True}
    whole = gradient("++++", 0)
    first = clients.train(0, **feedback).update
    check_close({name: first[name] + kept for name, kept in clients.kept(0, RESIDUAL).items()}, whole)
    second = clients.train(0, **feedback).update
    sent = {name: first[name] + second[name] + kept for name, kept in clients.kept(0, RESIDUAL).items()}
    check_close(sent, times(2.0, whole))
    assert norm(second) == pytest.approx(float(np.sqrt(5.0)))


def test_injected_batches_know_no_residual(clients: Clients) -> None:
    feedback = {"postprocess": (TopK(share=0.5),), "error_feedback": True}
    before = clients.inject([("+-+-",)], [[1]], **feedback).update
    clients.train(1, **feedback)
    kept = clients.kept(1, RESIDUAL)
    after = clients.inject([("+-+-",)], [[1]], **feedback).update
    check_close(after, dict(before))
    check_close(clients.kept(1, RESIDUAL), kept)


def test_dp_sgd_clips_every_example(clients: Clients) -> None:
    """Each of two gradients of norm 1.58 to a half, then their mean; no noise."""
    private = DpSgd(max_norm=0.5, noise_multiplier=0.0)
    reply = clients.train(2, batch_size=2, dp_sgd=private)
    check_close(reply.update, times(0.5 / NORM, mean(gradient("++--", 1), gradient("+---", 0))))
    assert reply.loss is None, "a loss without noise is not private"


def test_the_noise_of_dp_sgd_is_new_in_every_pair(clients: Clients) -> None:
    private = DpSgd(max_norm=0.5, noise_multiplier=1.0)
    update = clients.inject([("+-+-",), ("+-+-",)], [[1], [1]], dp_sgd=private).update["1.weight"]
    assert not torch.equal(update[0], update[1])
    assert not torch.equal(update[0], clients.train(1, dp_sgd=private).update["1.weight"])


def test_public_samples_are_trained_on_with_the_own(clients: Clients) -> None:
    reply = clients.train(0, augment=(PublicSamples(count=1),))
    check_close(reply.update, mean(gradient("++++", 0), gradient("----", 1)))
    assert reply.samples == 1, "the client's own"


def test_drift_moves_the_model_before_the_gradient_is_taken(clients: Clients) -> None:
    """A step of 1 on the image: outputs (2.5, -2.5), of which the softmax is (0.9933, 0.0067)."""
    drift = Drift(images=1, epochs=1, learning_rate=1.0, batch_size=1)
    left = 1 / (1 + np.exp(5.0))
    check_close(clients.train(0, drift=drift).update, times(2 * left, gradient("++++", 0)))
    check_close(clients.inject([("++++",)], [[0]], drift=drift).update, stacked(gradient("++++", 0)))


def test_the_compromised_client_drifts_on_its_own_image_before_it_answers_if_both_sides_do(clients: Clients) -> None:
    """As above, with client 1's image; its weights serve every message of the round and are found again in the next."""
    drift = Drift(images=1, epochs=1, learning_rate=1.0, batch_size=1, side="both")
    drifted = times(-1, gradient("+-+-", 1))
    expected = times(2 / (1 + np.exp(5.0)), gradient("+-+-", 1))
    for number in (1, 1, 2):
        reply = clients.inject([("+-+-",)], [[1]], drift=drift, round=number, first_pair=5 * number)
        check_close(reply.update, stacked(expected))
        check_close(clients.kept(1, DRIFTED), drifted)
    check_close(
        clients.inject([("+-+-",)], [[1]], drift=drift.model_copy(update={"epochs": 0})).update,
        stacked(gradient("+-+-", 1)),
    )


def test_weights_that_drifted_are_trained_once_in_a_round(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    drift = Drift(images=1, epochs=1, learning_rate=1.0, batch_size=1, side="both")
    rounds: list[int] = []
    monkeypatch.setattr(client_app, "_drift", lambda told, *_: rounds.append(told.round))
    for number in (1, 1, 2, 2, 2):
        clients.inject([("+-+-",)], [[1]], drift=drift, round=number)
    assert rounds == [1, 2]


def test_augmented_drift_is_the_same_for_every_message_of_pairs(clients: Clients) -> None:
    """Whether a node has kept its weights must not show in what it answers."""
    drift = Drift(images=1, epochs=1, learning_rate=1.0, batch_size=1, side="both")
    weights = []
    for first, number in ((0, 1), (7, 2), (90, 1)):  # the rounds make it train again
        clients.inject(
            [("+-+-",)], [[1]], drift=drift, round=number, first_pair=first, augment=(PublicSamples(count=1),)
        )
        weights.append(clients.kept(1, DRIFTED))
    check_close(weights[2], dict(weights[0]))


def stacked(update: State) -> State:
    """As the only one of an injection."""
    return {name: tensor[None] for name, tensor in update.items()}


def test_the_loss_is_that_of_the_model_that_was_sent(clients: Clients) -> None:
    model = zeros() | {"1.bias": torch.tensor([0.0, 3.0])}
    assert clients.train(0, model=model).loss == pytest.approx(float(np.log1p(np.exp(3.0))))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fault": "raise"}, "RuntimeError: fault provoked by the scenario in round 1"),
        ({"model": {"1.weight": torch.zeros(3, 4), "1.bias": torch.zeros(2)}}, "1.weight has shape"),
        ({"data": "nowhere"}, "FileNotFoundError"),
    ],
)
def test_what_goes_wrong_is_an_error_reply(clients: Clients, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RuntimeError, match=reason):
        clients.train(0, **changes)


def test_an_update_that_is_not_a_number(clients: Clients) -> None:
    assert all(tensor.isnan().all() for tensor in clients.train(0, fault="nan").update.values())


def test_a_guarded_client_refuses_a_crafted_model(clients: Clients) -> None:
    """Four filters that copy one pixel each, which a client without guards trains as it trains any."""
    model = {"1.weight": torch.eye(4), "1.bias": torch.zeros(4), "3.weight": torch.ones(2, 4), "3.bias": torch.zeros(2)}
    arrays = ArrayRecord(torch_state_dict=model)
    for guards, refused in (((), False), ((PassThrough(),), True)):
        content = broadcast(arrays, clients.told(guards=guards, model=Mlp(hidden=(4,))))
        reply = clients.ask(content, 0, MessageType.TRAIN)
        assert reply.has_error() == refused
    assert "CraftedModelError: pass_through: layer 1: 100% of its filters copy one input" in str(reply.error.reason)


WITH_NORM = ConvNet(widths=(2,))


class Normalised:
    """Client 2's two images under a network with a normalisation layer."""

    def __init__(self, clients: Clients) -> None:
        self.clients, self.state = clients, dict(WITH_NORM.build((1, 2, 2), 2, seed=0).state_dict())
        self.layer = next(name.removesuffix(".running_mean") for name in self.state if "running_mean" in name)

    def train(self, policy: str, **changes: Any) -> Reply:
        """Both images in one batch."""
        told = self.clients.told(batch_norm=policy, batch_size=2, model=WITH_NORM, **changes)
        content = broadcast(ArrayRecord(torch_state_dict=self.state), told)
        return Reply.of(self.clients.ask(content, 2, MessageType.TRAIN))


@pytest.fixture
def normalised(clients: Clients) -> Normalised:
    """Those."""
    return Normalised(clients)


def test_batch_statistics_are_told_only_where_they_are_granted(normalised: Normalised) -> None:
    assert normalised.train("eval").statistics == {}
    told = normalised.train("eval", batch_statistics=True)
    assert list(told.statistics) == [f"{normalised.layer}.mean", f"{normalised.layer}.var"]
    assert told.buffers == {}
    model = WITH_NORM.build((1, 2, 2), 2, seed=0)
    seen = model[0](torch.from_numpy(pixels("++--", "+---")).float() / 127.5 - 1)
    torch.testing.assert_close(told.statistics[f"{normalised.layer}.mean"], seen.mean(dim=(0, 2, 3)).detach())


def test_shared_statistics_are_a_running_mean_of_the_batches(normalised: Normalised) -> None:
    """Torch's momentum is 0.1: nine parts of the old zeros, one of the batch."""
    reply = normalised.train("train_shared", batch_statistics=True)
    of_batch = reply.statistics[f"{normalised.layer}.mean"]
    torch.testing.assert_close(reply.buffers[f"{normalised.layer}.running_mean"], 0.1 * of_batch)
    assert reply.buffers[f"{normalised.layer}.num_batches_tracked"].item() == 1


def test_own_statistics_stay_with_the_client_and_are_taken_up_again(normalised: Normalised) -> None:
    """After two rounds of one batch: 0.1 of it, then 0.9 of that and 0.1 more."""
    first = normalised.train("train_local", batch_statistics=True)
    of_batch = first.statistics[f"{normalised.layer}.mean"]
    assert first.buffers == {}
    assert normalised.train("train_local").buffers == {}
    kept = normalised.clients.kept(2, LOCAL_BUFFERS)
    assert kept[f"{normalised.layer}.num_batches_tracked"].item() == 2
    torch.testing.assert_close(kept[f"{normalised.layer}.running_mean"], (0.09 + 0.1) * of_batch)
    assert LOCAL_BUFFERS not in normalised.clients.grid._contexts[FIRST_NODE].state
