"""Dependencies between attacks that start from each other's results, and the order in which they must run."""

from __future__ import annotations

from collections.abc import Sequence

from fedleak.attacks.base import Attack
from fedleak.errors import nearest


def source_of(attack: Attack, attacks: Sequence[Attack]) -> Attack | None:
    """The attack of ``attacks`` whose reconstructions ``attack`` starts from; None if it does not use another attack.

    Ids take precedence over kinds.

    Raises:
        LookupError: if no attack has the name, or several are of the kind; the message lists the allowed names.
    """
    name = attack.starts_from
    if name is None:
        return None
    named = [other for other in attacks if other.name == name]
    found = named or [other for other in attacks if other.kind == name]
    if len(found) == 1:
        return found[0]
    names = [other.name for other in attacks if other is not attack]
    if found:
        raise LookupError(f"several attacks are of this kind; give one of the ids {', '.join(o.name for o in found)}")
    raise LookupError(f"no such attack; {nearest(name, names)}attacks: {', '.join(names) or 'no other'}")


def sources(attack: Attack, attacks: Sequence[Attack]) -> list[Attack]:
    """The attack that ``attack`` starts from, then the source of that attack, and so on.

    Raises:
        LookupError: as ``source_of``, or if the dependencies form a cycle.
    """
    chain: list[Attack] = []
    source = source_of(attack, attacks)
    while source is not None:
        chain.append(source)
        if source is attack or len(chain) > len(attacks):
            raise LookupError(f"a cycle: {' starts from '.join(a.name for a in [attack, *chain])}")
        source = source_of(source, attacks)
    return chain


def in_order(attacks: Sequence[Attack]) -> list[Attack]:
    """The attacks in the order given, but each after the attack that it starts from.

    Raises:
        LookupError: as ``sources``.
    """
    ordered: list[Attack] = []
    for attack in attacks:
        ordered += [a for a in [*reversed(sources(attack, attacks)), attack] if not any(a is b for b in ordered)]
    return ordered
