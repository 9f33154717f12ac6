"""Who talks to this server."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vagus.errors import SessionRefusedError
from vagus.server.sessions import MAX_TOKENS, EpochSource, Found, Reminders, Session, SessionTable
from vagus.server.tenants import Tenant, TenantTable

GRACE_NS = 5_000
IDLE_NS = 300_000


def table(max_sessions: int = 4, tenants: Sequence[Tenant] = ()) -> SessionTable:
    return SessionTable(
        max_sessions=max_sessions, grace_ns=GRACE_NS, idle_ns=IDLE_NS, tenants=TenantTable(tenants)
    )


def refused(sessions: SessionTable, client: str) -> str:
    """Return why this client gets no session."""
    with pytest.raises(SessionRefusedError) as refusal:
        sessions.open(client, "i", 4_000_000_000, 0)
    assert refusal.value.code == "sessions_full"
    assert [session for session in sessions if session.client == client] == []
    return refusal.value.reason


def test_a_session_is_found_by_its_client_and_epoch() -> None:
    sessions = table()
    session, old = sessions.open("arm", "i1", 7, 0)
    assert old is None
    assert sessions.find("arm", 7) is session
    assert session.session_id == "arm:00000007"
    assert list(sessions) == [session]


def test_an_epoch_of_no_session_is_unknown_and_one_of_another_client_is_misrouted() -> None:
    sessions = table()
    sessions.open("arm", "i1", 7, 0)
    sessions.open("leg", "i2", 8, 0)
    assert sessions.find("arm", 9) is Found.UNKNOWN
    assert sessions.find("arm", 8) is Found.MISROUTED
    assert sessions.find("stranger", 8) is Found.MISROUTED


def test_the_same_instance_replaces_its_session_and_the_old_epoch_is_unknown() -> None:
    sessions = table()
    sessions.token_changed("arm", "i1", 0, is_alive=True)
    first, _ = sessions.open("arm", "i1", 7, 0)
    second, old = sessions.open("arm", "i1", 8, 1)
    assert old is first
    assert sessions.find("arm", 8) is second
    assert sessions.find("arm", 7) is Found.UNKNOWN
    assert len(sessions) == 1


LABS = (
    Tenant(name="a", clients=("a-*",), max_sessions=2),
    Tenant(name="b", clients=("b-*",), max_sessions=1),
    Tenant(name="c", clients=("c-*",)),
)


def test_a_tenant_over_its_quota_is_told_so_and_the_others_are_not() -> None:
    sessions = table(4, LABS)
    first, _ = sessions.open("a-1", "i", 1, 0)
    sessions.open("a-2", "i", 2, 0)
    told = refused(sessions, "a-3")
    assert "tenant 'a' has taken all 2 of its sessions" in told
    assert "ask another replica, or raise the tenant's max_sessions" in told
    assert sessions.open("b-1", "i", 3, 0)[0].tenant.name == "b"
    assert sessions.close(first)
    assert sessions.open("a-3", "i", 5, 0)[0].tenant.name == "a"
    assert (sessions.count("a"), sessions.count("b"), sessions.count("c")) == (2, 1, 0)


def test_a_robot_over_no_quota_may_come_back() -> None:
    sessions = table(4, LABS)
    sessions.open("b-1", "i", 1, 0)
    assert sessions.open("b-1", "i", 2, 0)[0].epoch == 2
    assert sessions.count("b") == 1
    assert "'b' has taken all 1" in refused(sessions, "b-2")


@pytest.mark.parametrize("flood", ["c", "stranger"])
def test_who_has_no_quota_takes_no_place_that_is_kept(flood: str) -> None:
    sessions = table(4, LABS)
    sessions.open(f"{flood}-1", "i", 1, 0)
    assert "kept for other tenants" in refused(sessions, f"{flood}-2")
    for number, name in enumerate(("a-1", "a-2", "b-1"), start=2):
        sessions.open(name, "i", number, 0)
    assert "all 4 sessions are taken" in refused(sessions, f"{flood}-2")


def test_quotas_above_the_places_keep_none() -> None:
    sessions = table(2, LABS)
    for number in (1, 2):
        sessions.open(f"c-{number}", "i", number, 0)
    assert "all 2 sessions are taken" in refused(sessions, "a-1")


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcd"), st.integers(1, 3)), max_size=60))
def test_no_flood_of_others_keeps_a_tenant_from_its_quota(moves: list[tuple[bool, str, int]]) -> None:
    sessions = table(5, LABS)
    for epoch, (opens, lab, number) in enumerate(moves, start=1):
        client = f"{lab}-{number}"
        known = {session.client: session for session in sessions}
        if not opens and client in known:
            sessions.close(known[client])
        elif opens:
            quota = {"a": 2, "b": 1}.get(lab)
            is_promised = client in known or (quota is not None and sessions.count(lab) < quota)
            try:
                sessions.open(client, "i", epoch, 0)
            except SessionRefusedError:
                assert not is_promised
        assert len(sessions) <= 5
        for name in "abc":
            own = [session for session in sessions if session.tenant.name == name]
            assert len(own) == sessions.count(name) <= {"a": 2, "b": 1}.get(name, 5)


def test_a_name_whose_owner_is_alive_is_in_use_however_long_it_was_silent() -> None:
    sessions = table()
    sessions.token_changed("arm", "i1", 0, is_alive=True)
    sessions.open("arm", "i1", 7, 0)
    with pytest.raises(SessionRefusedError, match="--name") as refusal:
        sessions.open("arm", "i2", 8, GRACE_NS * 10)
    assert refusal.value.code == "client_in_use"
    assert not isinstance(sessions.find("arm", 7), Found)


def test_a_name_whose_owner_was_heard_lately_is_in_use_and_later_it_is_free() -> None:
    sessions = table()
    sessions.open("arm", "i1", 7, 0)
    with pytest.raises(SessionRefusedError):
        sessions.open("arm", "i2", 8, GRACE_NS - 1)
    assert sessions.open("arm", "i2", 8, GRACE_NS)[1] is not None


def test_a_process_that_died_can_be_restarted_at_once() -> None:
    sessions = table()
    sessions.token_changed("arm", "i1", 0, is_alive=True)
    sessions.open("arm", "i1", 7, 0)
    sessions.token_changed("arm", "i1", 10, is_alive=False)
    assert sessions.open("arm", "i2", 8, 11)[0].instance == "i2"


def test_a_process_heard_after_its_token_vanished_is_still_there() -> None:
    sessions = table()
    session, _ = sessions.open("arm", "i1", 7, 0)
    sessions.token_changed("arm", "i1", 10, is_alive=False)
    session.heard_ns = 11
    with pytest.raises(SessionRefusedError):
        sessions.open("arm", "i2", 8, 12)


def test_a_full_server_refuses_a_new_client_and_takes_an_old_one_again() -> None:
    sessions = table(max_sessions=1)
    sessions.open("arm", "i1", 7, 0)
    with pytest.raises(SessionRefusedError, match="max_sessions") as refusal:
        sessions.open("leg", "i2", 8, 0)
    assert refusal.value.code == "sessions_full"
    assert sessions.open("arm", "i1", 9, 1)[0].epoch == 9


def test_a_closed_or_replaced_session_cannot_be_closed_again() -> None:
    sessions = table()
    first, _ = sessions.open("arm", "i1", 7, 0)
    second, _ = sessions.open("arm", "i1", 8, 0)
    assert not sessions.close(first)
    assert sessions.is_open(second)
    assert sessions.close(second)
    assert not sessions.close(second)
    assert len(sessions) == 0


def test_a_client_without_its_token_is_suspect_after_the_grace_period_until_it_returns() -> None:
    sessions = table()
    session, _ = sessions.open("arm", "i1", 7, 0)
    sessions.token_changed("arm", "other", 0, is_alive=False)
    assert sessions.gone(GRACE_NS * 2) == []
    sessions.token_changed("arm", "i1", 100, is_alive=False)
    assert sessions.gone(100 + GRACE_NS - 1) == []
    assert sessions.gone(100 + GRACE_NS) == [session]
    sessions.token_changed("arm", "i1", 200, is_alive=True)
    assert sessions.gone(100 + GRACE_NS) == []


def test_a_client_whose_token_is_there_may_be_silent_for_long() -> None:
    sessions = table()
    sessions.token_changed("arm", "i1", 0, is_alive=True)
    session, _ = sessions.open("arm", "i1", 7, 0)
    session.heard_ns = 50
    assert sessions.silent(50 + IDLE_NS - 1) == []
    assert sessions.silent(50 + IDLE_NS) == [session]
    session.confirmed_ns = 50 + IDLE_NS  # the network says that the token is there: it may go on
    assert sessions.silent(50 + 2 * IDLE_NS - 1) == []
    assert sessions.silent(50 + 2 * IDLE_NS) == [session]


def test_a_client_whose_token_was_never_seen_must_be_heard_within_the_grace_period() -> None:
    sessions = table()
    session, _ = sessions.open("arm", "i1", 7, 0)
    sessions.token_changed("arm", "i2", 0, is_alive=True)  # of another process
    assert sessions.silent(GRACE_NS - 1) == []
    assert sessions.silent(GRACE_NS) == [session]
    session.heard_ns = GRACE_NS
    assert sessions.silent(2 * GRACE_NS - 1) == []


def test_what_the_network_says_of_a_token_decides_and_so_does_a_message_meanwhile() -> None:
    sessions = table()
    session, _ = sessions.open("arm", "i1", 7, 0)
    assert sessions.looked_for(session, GRACE_NS, is_there=False) == "no_token"
    assert sessions.looked_for(session, GRACE_NS, is_there=True) is None
    assert session.confirmed_ns == GRACE_NS
    session.heard_ns = 5 * GRACE_NS
    assert sessions.looked_for(session, 5 * GRACE_NS, is_there=False) is None
    sessions.token_changed("arm", "i1", 0, is_alive=True)
    assert sessions.looked_for(session, 5 * GRACE_NS + IDLE_NS, is_there=False) == "idle"
    sessions.token_changed("arm", "i1", 9, is_alive=False)
    assert sessions.looked_for(session, 5 * GRACE_NS, is_there=False) == "gone"


def test_tokens_without_end_are_not_remembered() -> None:
    sessions = table()
    for number in range(MAX_TOKENS + 10):
        sessions.token_changed("arm", f"i{number}", 0, is_alive=True)
    assert len(sessions._tokens) == MAX_TOKENS


@given(key=st.binary(min_size=16, max_size=16))
def test_no_epoch_is_used_twice_and_none_is_zero(key: bytes) -> None:
    source = EpochSource(key)
    epochs = [source.take() for _ in range(300)]
    assert len(set(epochs)) == 300
    assert all(0 < epoch < 2**32 for epoch in epochs)


def test_epochs_tell_nothing_of_the_next_ones() -> None:
    source = EpochSource(b"0123456789abcdef")
    epochs = [source.take() for _ in range(300)]
    steps = {(right - left) % 2**32 for left, right in itertools.pairwise(epochs)}
    assert len(steps) > 290
    assert [EpochSource(b"another key of 1").take() for _ in range(2)] != epochs[:1] * 2


def test_the_epoch_zero_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    source = EpochSource(b"k")
    monkeypatch.setattr(source, "_shuffled", lambda number: number * 5)
    assert [source.take(), source.take()] == [5, 10]


def test_an_unknown_client_is_told_once_per_interval() -> None:
    reminders = Reminders(interval_ns=10, max_clients=3)
    assert reminders.is_due("a", 0)
    assert not reminders.is_due("a", 9)
    assert reminders.is_due("a", 10)


def test_more_strangers_than_are_remembered_are_met_with_silence() -> None:
    reminders = Reminders(interval_ns=10, max_clients=2)
    assert reminders.is_due("a", 0)
    assert reminders.is_due("b", 1)
    assert not reminders.is_due("c", 2)
    assert reminders.is_due("c", 10)
    assert len(reminders) == 2


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=80))
def test_nobody_is_reminded_twice_within_the_interval_and_memory_is_bounded(
    calls: list[tuple[int, int]],
) -> None:
    reminders = Reminders(interval_ns=10, max_clients=4)
    told: dict[int, int] = {}
    now_ns = 0
    for client, pause_ns in calls:
        now_ns += pause_ns
        if reminders.is_due(f"c{client}", now_ns):
            assert now_ns - told.get(client, -10) >= 10
            told[client] = now_ns
        assert len(reminders) <= 4


class Table(RuleBasedStateMachine):
    """Whatever happens: at most one session per client, never more than allowed, each found by its epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = table(max_sessions=3)
        self.now_ns = 0
        self.epoch = 0
        self.closed: list[Session] = []

    @rule(client=st.sampled_from("abcd"), instance=st.sampled_from(["i1", "i2"]))
    def open(self, client: str, instance: str) -> None:
        self.epoch += 1
        try:
            _, old = self.sessions.open(client, instance, self.epoch, self.now_ns)
        except SessionRefusedError:
            return
        self.closed += [] if old is None else [old]

    @rule(client=st.sampled_from("abcd"), instance=st.sampled_from(["i1", "i2"]), is_alive=st.booleans())
    def token(self, client: str, instance: str, is_alive: bool) -> None:
        self.sessions.token_changed(client, instance, self.now_ns, is_alive=is_alive)

    @rule(pause_ns=st.integers(1, GRACE_NS))
    def wait(self, pause_ns: int) -> None:
        self.now_ns += pause_ns

    @rule()
    def sweep(self) -> None:
        for session in self.sessions.gone(self.now_ns):
            assert self.sessions.close(session)
            self.closed.append(session)

    @invariant()
    def a_closed_session_is_never_found_and_never_closes_another(self) -> None:
        for session in self.closed:
            assert self.sessions.find(session.client, session.epoch) is Found.UNKNOWN
            assert not self.sessions.close(session)

    @invariant()
    def every_session_is_found_and_there_are_not_too_many(self) -> None:
        assert len(self.sessions) <= 3
        for session in self.sessions:
            assert self.sessions.find(session.client, session.epoch) is session


TestTable = Table.TestCase
