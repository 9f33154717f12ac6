from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge.rig import OTHER, SERVER, SERVICE
from vagus.edge.client.replicas import (
    FORGET_NS,
    HOPELESS_NS,
    Backoff,
    LinkReopened,
    ReplicaContradicts,
    Replicas,
    ReplicaSaid,
    ReplicaSilent,
    ReplicasListed,
    TokenChanged,
)
from vagus.transport.keys import ServerKey
from vagus.wire.schema import Load


def replicas() -> Replicas:
    return Replicas(Backoff(initial_ns=10, max_ns=80), random.Random(1).random)


def both() -> Replicas:
    known = replicas()
    known.set_all_alive([SERVER, OTHER])
    return known


def test_the_pause_is_none_at_first_then_doubles_up_to_the_bound() -> None:
    backoff = Backoff(10, 80)
    assert [backoff.pause_ns(n) for n in (1, 2, 3, 4, 5, 6, 1000)] == [0, 10, 20, 40, 80, 80, 80]


def test_nobody_is_chosen_of_nobody() -> None:
    assert replicas().choose(0) is None


def test_all_servers_whose_load_nobody_knows_are_chosen_at_times() -> None:
    known = both()
    assert {known.choose(5) for _ in range(50)} == {SERVER, OTHER}


def test_the_emptier_server_is_chosen_and_of_equal_ones_any() -> None:
    known = both()
    known.note_load(SERVER, Load(sessions=4, max_sessions=64))
    known.note_load(OTHER, Load(sessions=6, max_sessions=64))
    assert {known.choose(5) for _ in range(50)} == {SERVER}
    known.note_load(SERVER, Load(sessions=6, max_sessions=64))
    assert {known.choose(5) for _ in range(50)} == {SERVER, OTHER}


def test_a_server_without_a_place_is_chosen_only_if_there_is_no_other() -> None:
    known = both()
    known.note_load(SERVER, Load(sessions=8, max_sessions=8))
    assert {known.choose(5) for _ in range(50)} == {OTHER}  # whose load nobody knows
    known.set_back(OTHER, 5)
    known.set_back(OTHER, 5)
    assert known.choose(5) == SERVER


def test_a_server_whose_load_is_not_known_counts_like_the_others() -> None:
    known = both()
    known.note_load(OTHER, Load(sessions=3, max_sessions=8))
    assert {known.choose(5, left=SERVICE.server("gone")) for _ in range(50)} == {SERVER, OTHER}


def test_the_sessions_of_a_lost_server_spread_over_the_others_until_they_are_equal() -> None:
    """A hundred robots lose a server at once; what they know of the others is the same, and old."""
    third = SERVICE.server("three")
    counts = Counter[ServerKey | None]()
    for robot in range(100):
        known = Replicas(Backoff(10, 80), random.Random(robot).random)
        known.set_all_alive([SERVER, OTHER, third])
        for server, sessions in ((SERVER, 100), (OTHER, 10), (third, 60)):
            known.note_load(server, Load(sessions=sessions, max_sessions=200))
        known.set_alive(SERVER, is_alive=False)
        known.set_back(SERVER, 0)
        counts[known.choose(0, left=SERVER)] += 1
    assert sum(counts.values()) == 100
    assert abs((10 + counts[OTHER]) - (60 + counts[third])) <= 30  # four standard deviations about equal
    assert min(counts[OTHER], counts[third]) > 0


def test_a_server_that_was_left_without_a_fault_is_taken_again() -> None:
    known = both()
    known.note_load(SERVER, Load(sessions=9, max_sessions=64))
    known.note_load(OTHER, Load(sessions=1, max_sessions=64))
    assert known.choose(5, left=SERVER, home=SERVER) == SERVER
    known.set_back(SERVER, 5)
    assert known.choose(5, left=SERVER, home=SERVER) == OTHER


def test_a_failure_is_forgotten_in_time() -> None:
    known = both()
    known.set_back(SERVER, 5)
    assert {known.choose(5) for _ in range(50)} == {OTHER}
    assert {known.choose(4 + FORGET_NS) for _ in range(50)} == {OTHER}
    assert {known.choose(5 + FORGET_NS) for _ in range(50)} == {SERVER, OTHER}


def test_a_server_that_did_not_answer_is_a_late_choice_until_it_does() -> None:
    known = both()
    known.apply(ReplicaSilent(SERVER))
    assert {known.choose(5) for _ in range(50)} == {OTHER}
    assert not known.has_other(OTHER, 5)
    known.apply(ReplicaSaid(SERVER, is_failing=False, load=Load()))
    assert {known.choose(5) for _ in range(50)} == {SERVER, OTHER}
    known.apply(ReplicaSilent(SERVER))
    known.set_alive(SERVER, is_alive=False)
    known.set_alive(SERVER, is_alive=True)  # another process, or a network that is back
    assert {known.choose(5) for _ in range(50)} == {SERVER, OTHER}


def test_some_to_ask_are_different_ones_of_those_that_failed_least() -> None:
    known = both()
    assert sorted(known.choose_some(5, 2), key=str) == [SERVER, OTHER]
    assert {tuple(known.choose_some(5, 1)) for _ in range(50)} == {(SERVER,), (OTHER,)}
    assert len(known.choose_some(5, 9)) == 2
    known.set_back(SERVER, 5)
    assert known.choose_some(5, 2) == [OTHER]
    assert replicas().choose_some(5, 2) == []


def test_a_server_may_be_left_out_of_a_choice() -> None:
    known = both()
    assert {known.choose(5, but=SERVER) for _ in range(50)} == {OTHER}
    known.set_alive(OTHER, is_alive=False)
    assert known.choose(5, but=SERVER) is None


def test_the_one_that_failed_less_is_preferred() -> None:
    known = both()
    known.set_back(SERVER, 0)
    assert [known.choose(100) for _ in range(3)] == [OTHER] * 3
    known.set_back(OTHER, 0)
    known.set_back(OTHER, 0)
    assert known.choose(100) == SERVER


def test_the_first_try_after_a_failure_is_at_once_the_second_waits() -> None:
    known = replicas()
    known.set_alive(SERVER, is_alive=True)
    known.set_back(SERVER, 100)
    assert known.choose(100) == SERVER
    known.set_back(SERVER, 100)
    assert known.choose(109) is None
    assert known.choose(110) == SERVER


def test_a_merge_forgets_the_failures() -> None:
    known = both()
    known.set_back(SERVER, 0)
    known.succeeded(SERVER)
    known.set_back(OTHER, 0)
    assert known.choose(100) == SERVER
    replicas().succeeded(SERVER)  # one never heard of


def test_a_network_that_is_back_ends_all_pauses() -> None:
    known = replicas()
    known.set_alive(SERVER, is_alive=True)
    known.set_back(SERVER, 0)
    known.set_back(SERVER, 0)
    assert known.choose(0) is None
    known.retry_now()
    assert known.choose(0) == SERVER


def test_a_server_that_is_gone_is_not_chosen_and_one_that_returns_is_at_once() -> None:
    known = replicas()
    known.set_alive(SERVER, is_alive=True)
    known.set_back(SERVER, 0)
    known.set_back(SERVER, 0)
    known.set_alive(SERVER, is_alive=True)  # it was there: no news
    assert known.choose(0) is None
    known.set_alive(SERVER, is_alive=False)
    assert known.choose(1000) is None
    known.set_alive(SERVER, is_alive=True)
    assert known.choose(0) == SERVER


def test_a_complete_list_replaces_what_was_known() -> None:
    known = both()
    known.set_all_alive([OTHER])
    assert known.alive == frozenset({OTHER})
    assert known.choose(0) == OTHER


def test_an_excluded_server_is_never_chosen_again() -> None:
    known = both()
    known.exclude(SERVER, "other weights")
    assert [known.choose(n) for n in range(3)] == [OTHER] * 3
    assert known.excluded == {SERVER: "other weights"}
    assert not known.are_all_excluded
    known.set_alive(SERVER, is_alive=False)
    assert known.excluded == {}
    known.set_alive(SERVER, is_alive=True)
    assert known.excluded == {SERVER: "other weights"}


def test_all_are_excluded_only_if_somebody_is_alive() -> None:
    known = replicas()
    assert not known.are_all_excluded
    known.exclude(SERVER, "x")  # before its token was seen
    assert not known.are_all_excluded
    known.set_alive(SERVER, is_alive=True)
    assert known.are_all_excluded
    known.set_alive(OTHER, is_alive=True)
    assert not known.are_all_excluded


@given(st.lists(st.tuples(st.sampled_from("adxbsr"), st.booleans(), st.integers(0, 50)), max_size=40))
def test_whoever_is_chosen_is_alive_and_not_excluded(events: list[tuple[str, bool, int]]) -> None:
    known, now_ns = replicas(), 0
    excluded = set()
    for what, is_other, elapsed in events:
        server = OTHER if is_other else SERVER
        now_ns += elapsed
        if what in "ad":
            known.set_alive(server, is_alive=what == "a")
        elif what == "x":
            known.exclude(server, "x")
            excluded.add(server)
        elif what == "b":
            known.set_back(server, now_ns)
        elif what == "s":
            known.succeeded(server)
        else:
            known.retry_now()
        chosen = known.choose(now_ns)
        assert chosen is None or (chosen in known.alive and chosen not in excluded)
        if known.alive - excluded:
            assert known.choose(now_ns + 80) is not None  # whoever can be tried is, at the latest then


def test_a_server_whose_policy_fails_is_the_last_choice() -> None:
    known = both()
    known.set_failing(SERVER, is_failing=True)
    assert [known.choose(0) for _ in range(3)] == [OTHER] * 3
    known.set_alive(OTHER, is_alive=False)
    assert known.choose(0) == SERVER  # better than nobody
    known.set_alive(OTHER, is_alive=True)
    known.set_failing(SERVER, is_failing=False)
    assert {known.choose(0) for _ in range(50)} == {SERVER, OTHER}


def test_another_server_is_one_that_could_be_tried_now_and_is_not_known_to_fail() -> None:
    known = replicas()
    known.set_all_alive([SERVER])
    assert not known.has_other(SERVER, 0)
    assert known.has_other(None, 0)
    known.set_all_alive([SERVER, OTHER])
    assert known.has_other(SERVER, 0)
    known.set_failing(OTHER, is_failing=True)
    assert not known.has_other(SERVER, 0)
    known.set_failing(OTHER, is_failing=False)
    known.set_back(OTHER, 0)
    known.set_back(OTHER, 0)
    assert not known.has_other(SERVER, 9)
    assert known.has_other(SERVER, 10)
    known.exclude(OTHER, "why")
    assert not known.has_other(SERVER, 10)


def test_each_event_of_the_watch_has_its_effect() -> None:
    known = replicas()
    known.apply(ReplicasListed(frozenset({SERVER})))
    known.apply(TokenChanged(OTHER, is_alive=True))
    assert known.alive == {SERVER, OTHER}
    known.apply(ReplicaSaid(OTHER, is_failing=True, load=Load()))
    assert not known.has_other(SERVER, 0)
    known.apply(ReplicaContradicts(OTHER, "another model"))
    assert known.excluded == {OTHER: "another model"}
    known.set_back(SERVER, 0)
    known.set_back(SERVER, 0)
    assert known.choose(5) is None
    known.apply(LinkReopened())
    assert known.choose(5) == SERVER
    known.apply(TokenChanged(SERVER, is_alive=False))
    assert known.alive == {OTHER}


def test_it_is_hopeless_once_only_excluded_servers_were_alive_for_a_while() -> None:
    known = replicas()
    known.set_alive(SERVER, is_alive=True)
    assert not known.is_hopeless(0)
    known.exclude(SERVER, "another model")
    assert not known.is_hopeless(5)
    assert not known.is_hopeless(HOPELESS_NS + 4)
    assert known.is_hopeless(HOPELESS_NS + 5)
    known.set_alive(OTHER, is_alive=True)
    assert not known.is_hopeless(HOPELESS_NS + 6)
    known.set_alive(OTHER, is_alive=False)
    assert not known.is_hopeless(HOPELESS_NS + 7)  # the while begins anew
    assert known.is_hopeless(2 * HOPELESS_NS + 7)
