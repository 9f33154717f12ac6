"""A robot whose server is lost comes to another one while it still has something to play."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.stand import CONFIG, Script, opened
from vagus.clock import NS_PER_S
from vagus.edge.client.failover import LEAST_OPEN_S, open_timeout_s
from vagus.transport.link import Query
from vagus.transport.memory import MemoryLink, MemoryNetwork
from vagus.wire.codec import decode
from vagus.wire.schema import SessionRequest

PATIENT = replace(CONFIG, handshake_timeout_s=600.0, execute_horizon=1)
"""Would wait ten minutes for the answer to a session open."""


class LosesAnswers(Script):
    """A server whose answers to the first session opens are lost on their way."""

    lost = 2

    def _on_session(self, query: Query) -> None:
        request = decode(query.payload, SessionRequest)
        if request.open is not None and len(self.opens) < self.lost:
            self.opens.append(request)
            return
        super()._on_session(query)


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


@pytest.fixture
def link(network: MemoryNetwork) -> Iterator[MemoryLink]:
    link = network.link("robot")
    yield link
    link.close()


def test_an_open_whose_answer_is_lost_is_tried_again_before_the_plan_has_ended(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    first = Script(network, "one")
    with opened(link, PATIENT) as body:
        body.until_merged(2)
        second = LosesAnswers(network, "two")
        body.until(lambda: len(body.client._replicas.alive) == 2)
        first.vanish()
        body.until(lambda: body.client.status().server == second.key.server)
        body.until_merged()
        assert len(second.opens) == second.lost + 1


def test_half_of_the_plan_is_left_for_the_next_try() -> None:
    assert open_timeout_s(2.0, NS_PER_S) == 0.5
    assert open_timeout_s(2.0, 60 * NS_PER_S) == 2.0


@pytest.mark.parametrize("left_ns", [0, -1, -(10**18)])
def test_a_server_that_opens_slowly_gets_all_the_time_once_nothing_is_left(left_ns: int) -> None:
    assert open_timeout_s(2.0, left_ns) == 2.0


@given(st.floats(0.01, 600), st.integers(-(10**12), 10**13))
def test_nobody_is_waited_for_longer_than_the_settings_say(longest_s: float, left_ns: int) -> None:
    timeout_s = open_timeout_s(longest_s, left_ns)
    assert min(LEAST_OPEN_S, longest_s) <= timeout_s <= longest_s
