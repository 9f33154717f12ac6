from __future__ import annotations

from vagus.clock import NS_PER_S
from vagus.edge.client.first_contact import Patience
from vagus.edge.config import EdgeConfig
from vagus.errors import LinkError, ServerStartingError

CONFIG = EdgeConfig(connect_timeout_s=5.0, start_timeout_s=100.0)
NOBODY = LinkError("nobody")
STARTING = ServerStartingError("server one is warming")


def test_nobody_is_waited_for_as_long_as_a_contact_may_take() -> None:
    patience = Patience(CONFIG, 0)
    assert not patience.is_over(NOBODY, 5 * NS_PER_S - 1)
    assert patience.is_over(NOBODY, 5 * NS_PER_S)


def test_one_that_starts_is_given_its_time_and_then_that_of_a_contact() -> None:
    patience = Patience(CONFIG, 0)
    assert not patience.is_over(STARTING, 99 * NS_PER_S)
    assert not patience.is_over(NOBODY, 103 * NS_PER_S)  # it is ready, and its token on its way
    assert patience.is_over(NOBODY, 104 * NS_PER_S)


def test_one_that_never_ends_to_start_is_given_up() -> None:
    patience = Patience(CONFIG, 0)
    assert patience.is_over(STARTING, 100 * NS_PER_S)


def test_each_change_is_told_once() -> None:
    patience = Patience(CONFIG, 0)
    assert patience.news(NOBODY) == ""
    assert patience.news(STARTING) == "server one is warming; waiting for it, at most 100 s"
    assert patience.news(STARTING) == ""
    assert "two" in patience.news(ServerStartingError("server two is loading"))
