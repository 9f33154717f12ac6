"""The rule that replaces lost connections, over connections that fail on command."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from transport.rig import eventually
from vagus.errors import LinkError
from vagus.transport.connection import Connection, Watch
from vagus.transport.link import Declaration, Delivery, Query, Sample
from vagus.transport.reopening import ReopeningLink


class Nothing:
    def undeclare(self) -> None:
        pass


class ScriptedConnection:
    """A connection whose tokens are given and whose declarations can be made to fail."""

    def __init__(self, on_lost: Callable[[], None], tokens: frozenset[str] = frozenset()) -> None:
        self.is_live = True
        self.is_connected = True
        self.is_closed = False
        self.is_failing = False
        self.corrupted = 0
        self.declared: list[str] = []
        self.on_change: list[Callable[[str, bool], None]] = []
        self._on_lost = on_lost
        self._tokens = tokens

    def lose(self) -> None:
        self.is_live = self.is_connected = False
        self._on_lost()

    def publish(self, key: str, header: bytes, payload: bytes, delivery: Delivery) -> None:
        pass

    def subscribe(self, key: str, on_sample: Callable[[Sample], None]) -> Declaration:
        return self._declare(key)

    def serve(self, key: str, on_query: Callable[[Query], None]) -> Declaration:
        return self._declare(key)

    def token(self, key: str) -> Declaration:
        return self._declare(key)

    def watch(self, key: str, on_change: Callable[[str, bool], None]) -> Declaration:
        self.on_change.append(on_change)
        return self._declare(key)

    def query(self, key: str, payload: bytes, timeout_s: float) -> tuple[bytes, ...]:
        return (payload,)

    def tokens(self, key: str, timeout_s: float) -> frozenset[str]:
        if self.is_failing:
            raise LinkError("lost again")
        return self._tokens

    def abandon(self) -> None:
        self.is_live = False

    def close(self) -> None:
        self.is_live = False
        self.is_closed = True

    def _declare(self, key: str) -> Declaration:
        if self.is_failing:
            raise LinkError("lost while declaring")
        self.declared.append(key)
        return Nothing()


class Network:
    """Hands out connections, or the errors put in its way."""

    def __init__(self) -> None:
        self.made: list[ScriptedConnection] = []
        self.errors: list[Exception] = []
        self.tokens: frozenset[str] = frozenset()
        self.on_made: Callable[[ScriptedConnection], None] = lambda connection: None

    def connect(self, on_lost: Callable[[], None]) -> Connection:
        if self.errors:
            raise self.errors.pop(0)
        self.made.append(ScriptedConnection(on_lost, self.tokens))
        self.on_made(self.made[-1])
        return self.made[-1]

    def link(self, *, watchdog_s: float = 0.0, open_timeout_s: float = 5.0) -> ReopeningLink:
        return ReopeningLink(
            self.connect, address="nowhere", open_timeout_s=open_timeout_s, watchdog_s=watchdog_s
        )


def test_opening_tries_again_until_somebody_answers() -> None:
    network = Network()
    network.errors = [LinkError("refused"), LinkError("refused")]
    with network.link() as link:
        assert link.health().is_connected
        assert link.health().generation == 0


def test_opening_gives_up_with_the_last_reason() -> None:
    network = Network()
    network.errors = [LinkError("refused by mood")] * 1000
    with pytest.raises(LinkError, match=r"nowhere within 0\.1 s: refused by mood"):
        network.link(open_timeout_s=0.1).open()


def test_a_lost_connection_is_closed_and_replaced_with_everything_declared() -> None:
    network = Network()
    with network.link() as link:
        link.subscribe("a", lambda sample: None)
        link.token("b")
        gone = link.serve("c", lambda query: None)
        gone.undeclare()
        network.made[0].lose()
        assert eventually(lambda: link.health().generation == 1)
        assert network.made[1].declared == ["a", "b"]
        assert eventually(lambda: network.made[0].is_closed)
    assert network.made[1].is_closed


def test_what_could_not_be_declared_gets_the_next_connection() -> None:
    network = Network()
    with network.link() as link:
        network.made[0].is_failing = True
        link.token("a")
        network.made[0].lose()
        assert eventually(lambda: len(network.made) == 2 and network.made[1].declared == ["a"])


def test_corrupted_messages_are_counted_over_reopens() -> None:
    network = Network()
    with network.link() as link:
        network.made[0].corrupted = 2
        assert link.health().corrupted == 2
        network.made[0].lose()
        assert eventually(lambda: link.health().generation == 1)
        network.made[1].corrupted = 3
        assert link.health().corrupted == 5


def test_an_unexpected_error_does_not_end_the_looking_after(caplog: pytest.LogCaptureFixture) -> None:
    network = Network()
    with network.link() as link:
        network.errors = [RuntimeError("not foreseen")]
        network.made[0].lose()
        assert eventually(lambda: link.health().generation == 1)
    assert "not foreseen" in caplog.text


def test_a_reopen_callback_that_raises_leaves_the_others_called(caplog: pytest.LogCaptureFixture) -> None:
    network = Network()
    called: list[int] = []

    def explode(generation: int) -> None:
        raise RuntimeError("mine")

    with network.link() as link:
        link.on_reopen(explode)
        link.on_reopen(called.append)
        network.made[0].lose()
        assert eventually(lambda: called == [1])
    assert "a reopen callback raised" in caplog.text


def test_a_watch_reports_after_a_reopen_what_changed_and_nothing_else() -> None:
    network = Network()
    changes: list[tuple[str, bool]] = []
    with network.link() as link:
        link.watch("*", lambda key, is_alive: changes.append((key, is_alive)))
        for key in ("stays", "goes", "is told twice"):
            network.made[0].on_change[0](key, True)
        network.tokens = frozenset({"stays"})
        network.on_made = lambda made: made.on_change.append(lambda key, is_alive: None)
        network.made[0].lose()
        assert eventually(lambda: len(changes) == 5)
        network.made[1].on_change[1]("stays", True)
        network.made[1].on_change[1]("comes", True)
    assert changes[:3] == [("stays", True), ("goes", True), ("is told twice", True)]
    assert changes[3:] == [("goes", False), ("is told twice", False), ("comes", True)]


def test_a_reopen_lost_at_once_is_settled_by_the_next() -> None:
    network = Network()
    changes: list[tuple[str, bool]] = []
    with network.link() as link:
        link.watch("*", lambda key, is_alive: changes.append((key, is_alive)))
        network.made[0].on_change[0]("goes", True)

        def fail_once(made: ScriptedConnection) -> None:
            made.is_failing = len(network.made) == 2

        network.on_made = fail_once
        network.made[0].lose()
        assert eventually(lambda: link.health().generation == 1)
        network.made[1].lose()
        assert eventually(lambda: changes == [("goes", True), ("goes", False)])


def test_the_watchdog_waits_before_it_calls_a_connection_dead() -> None:
    network = Network()
    with network.link(watchdog_s=0.4) as link:
        network.made[0].is_connected = False
        network.errors = [LinkError("nobody")] * 3  # away, not a zombie
        assert eventually(lambda: link.health().zombies == 1)
        assert network.errors == []
        assert eventually(lambda: link.health().generation == 1)
        assert eventually(lambda: network.made[0].is_closed)


def test_a_connection_made_while_the_link_closes_is_closed_too() -> None:
    network = Network()
    is_connecting, may_go_on = threading.Event(), threading.Event()

    def wait(made: ScriptedConnection) -> None:
        is_connecting.set()
        may_go_on.wait(30)

    link = network.link()
    link.open()
    network.on_made = wait
    network.made[0].lose()
    assert is_connecting.wait(30)
    closing = threading.Thread(target=link.close)
    closing.start()
    may_go_on.set()
    closing.join(30)
    assert eventually(lambda: network.made[1].is_closed)
    assert link.health().generation == 0


def test_a_watch_keeps_nothing_of_tokens_that_have_gone() -> None:
    changes: list[tuple[str, bool]] = []
    connection = ScriptedConnection(lambda: None)
    watch = Watch("a/*", lambda key, is_alive: changes.append((key, is_alive)), lambda _: None)
    watch.attach(connection)
    (report,) = connection.on_change
    for at in range(100):
        report(f"a/{at}", True)
        report(f"a/{at}", False)
    assert len(changes) == 200
    assert (watch._known, watch._confirmed) == (set(), set())
