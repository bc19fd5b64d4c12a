"""A grid that lists clients and carries nothing."""

from __future__ import annotations

import pytest
from flwr.app import Message, MessageType, RecordDict

from fedleak.federation.roster import Roster
from tests.federation.messages import grid


def test_it_lists_the_clients_and_sends_nothing() -> None:
    grid()  # messages can be made once there is one
    roster = Roster([4, 7])
    assert list(roster.get_node_ids()) == [4, 7]
    message = roster.create_message(RecordDict(), MessageType.TRAIN, 4, "1")
    assert isinstance(message, Message)
    for call in (roster.push_messages, roster.send_and_receive):
        with pytest.raises(NotImplementedError, match="does not send messages itself"):
            call([message])
