"""A throw-away server that crafts models: what single clients are sent, what the transcript says, what attacks see."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import nn

from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.progress import QuietProgress
from fedleak.run_directory import RunDirectory
from fedleak.server.crafting.base import Crafting, CraftingKnowledge
from fedleak.stages.attack.view import View
from fedleak.stages.federate import federate, plan_federation
from fedleak.stages.score.truth import TruthReader
from fedleak.tensors import NamedTensors
from fedleak.threat import GlobalModel, SharedUpdate
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import scenario, tree

TARGET, ROUND = 2, 2


class ShiftedBias(Crafting):
    """Adds one to every bias that one client is sent in one round."""

    kind: Literal["shifted_bias"] = "shifted_bias"
    client: int = TARGET
    round: int = ROUND

    def craft(
        self,
        model: nn.Module,
        known: CraftingKnowledge,
        *,
        client: int,
        round_number: int,
        generator: torch.Generator,
    ) -> NamedTensors | None:
        if (client, round_number) != (self.client, self.round):
            return None
        state = model.state_dict()
        return {name: tensor + 1 if name.endswith("bias") else tensor for name, tensor in state.items()}


def run(root: Path, crafting: Crafting | None, **changes: object) -> RunDirectory:
    directory, checked = RunDirectory(root), scenario(adversary__injection=None, attacks=["dlg"], **changes)
    plan = plan_federation(checked, directory)
    assert plan is not None
    with directory.claim(checked, force=False):
        federate(plan, directory, QuietProgress(), crafting=crafting)
    return directory


def asks(update: SharedUpdate, model: GlobalModel) -> None:
    """What an attack wants to know."""


def test_one_client_is_sent_another_model_and_the_transcript_says_which(tmp_path: Path) -> None:
    crafted = run(tmp_path / "crafted", ShiftedBias())
    reader, honest = TranscriptReader(crafted.transcript), TranscriptReader(run(tmp_path / "honest", None).transcript)
    broadcast, sent = reader.model(ROUND - 1), reader.sent(ROUND, TARGET)
    assert sent is not None
    for name, tensor in sent.items():
        torch.testing.assert_close(tensor - broadcast[name], torch.full_like(tensor, float(name.endswith("bias"))))
    others = [(r, c) for r in (1, 2) for c in (0, 1, 2) if (r, c) != (ROUND, TARGET)]
    assert all(reader.sent(*place) is None for place in others)
    files = [name for name in reader.manifest.checksums if name.startswith("sent/")]
    assert files == ["sent/round-00002-client-00002.safetensors"], "checked like every other file"
    assert not any(name.startswith("sent/") for name in honest.manifest.checksums)
    for update, same in zip(reader.manifest.updates, honest.manifest.updates, strict=True):
        unchanged = torch.equal(reader.update(update.row), honest.update(same.row))
        assert unchanged == ((update.round, update.client) != (ROUND, TARGET))


def test_the_client_computes_on_what_it_was_sent_and_the_attacker_knows_it(tmp_path: Path) -> None:
    directory = run(tmp_path / "run", ShiftedBias())
    reader, checked = TranscriptReader(directory.transcript), directory.scenario()
    (record,) = (u for u in reader.manifest.updates if (u.round, u.client) == (ROUND, TARGET))
    known = View(reader, checked.adversary.granted, record).capabilities(asks)
    network = checked.model.build((1, 8, 8), 10, seed=0)
    network.load_state_dict(known["model"].state)
    batch = TruthReader(directory.truth).batch(record.row)
    training = LocalTraining("fedsgd", 1, 1, 0.1, train_mode=False)
    images = ((batch.images - 0.5) / 0.5)[None]
    expected = compute_updates(network, images, batch.labels[None], training, seed=0)
    for name, tensor in known["update"].tensors.items():
        torch.testing.assert_close(tensor, expected.tensors[name][0])
    (other,) = (u for u in reader.manifest.updates if (u.round, u.client) == (ROUND, 1))
    untouched = View(reader, checked.adversary.granted, other).capabilities(asks)["model"].state
    assert all(torch.equal(tensor, reader.model(ROUND - 1)[name]) for name, tensor in untouched.items())


def test_a_guard_refuses_what_was_crafted(tmp_path: Path) -> None:
    """The hook reaches the client's own defense: rows of trap weights are turned down, the round goes on without."""

    class Traps(ShiftedBias):
        kind: Literal["traps"] = "traps"  # type: ignore[assignment]

        def craft(
            self,
            model: nn.Module,
            known: CraftingKnowledge,
            *,
            client: int,
            round_number: int,
            generator: torch.Generator,
        ) -> NamedTensors | None:
            if (client, round_number) != (self.client, self.round):
                return None
            state = dict(model.state_dict())
            first = next(name for name, tensor in state.items() if tensor.ndim == 2)
            rows = torch.linspace(-1, 1, state[first].numel()).reshape(state[first].shape)
            state[first] = rows.mean(dim=0, keepdim=True).expand_as(rows).contiguous()  # an imprint's equal rows
            return state

    guarded = run(tmp_path / "run", Traps(), federation__client={"guards": ["imprint"]})
    reader = TranscriptReader(guarded.transcript)
    (record,) = (u for u in reader.manifest.updates if (u.round, u.client) == (ROUND, TARGET))
    assert record.status == "failed"
    assert "imprint" in record.reason
    assert [u.status for u in reader.manifest.updates if u is not record] == ["ok"] * 3


def test_crafting_is_deterministic(tmp_path: Path) -> None:
    first, second = (run(tmp_path / name, ShiftedBias()) for name in "ab")
    assert tree(first.transcript) == tree(second.transcript)
