from __future__ import annotations

from collections.abc import Callable

import pytest

from fedleak.report.adversary import describe_adversary
from fedleak.results.schema import CapabilityNote, Results

Make = Callable[..., Results]


def test_the_adversary_is_described_honestly(make_results: Make) -> None:
    results = make_results(rounds=1)
    adversary = describe_adversary(results)
    assert "client 0 and injected public images: 8,000 input-update pairs" in adversary.channel
    assert "victims' images or their true labels" in adversary.lacked
    assert adversary.lacked.endswith("Not granted: pixel prior.")
    assert [c.level for c in adversary.capabilities] == ["0", "0", "2", "5", "derived"]
    assert {c.users for c in adversary.capabilities} == {"all attacks"}
    passive = results.model_copy(update={"compromised": None, "pairs": None})
    assert describe_adversary(passive).channel == "It controlled no client and was passive."


@pytest.mark.parametrize(
    ("used_by", "users"),
    [
        ((), ""),
        (("lti",), "lti"),
        (("lti", "git_coarse"), "lti, git_coarse"),
        (("git_coarse", "git_exact", "lti"), "all attacks"),
        (tuple("abcdefgh"), "a, b, c, d, e, f and 2 more"),
    ],
)
def test_users_of_a_capability(make_results: Make, used_by: tuple[str, ...], users: str) -> None:
    note = CapabilityNote(name="public_data", level=2, summary="s", used_by=used_by)
    (capability,) = describe_adversary(make_results(rounds=1).model_copy(update={"capabilities": (note,)})).capabilities
    assert (capability.name, capability.level, capability.users) == ("public data", "2", users)


def test_true_labels_are_not_denied_where_they_were_granted(make_results: Make) -> None:
    note = CapabilityNote(name="true_labels", level=None, summary="s", used_by=())
    results = make_results(rounds=1).model_copy(update={"capabilities": (note,), "withheld": ()})
    assert describe_adversary(results).lacked == ("It never saw the victims' images; they were used for scoring only.")


def test_a_compromised_client_without_pairs(make_results: Make) -> None:
    channel = describe_adversary(make_results(rounds=1).model_copy(update={"pairs": None})).channel
    assert channel == "Client 0 is compromised, but no data was injected."
