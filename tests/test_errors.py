from __future__ import annotations

import inspect

import pytest

from vagus import errors
from vagus.errors import (
    ConfigError,
    LinkError,
    ProtocolError,
    QueryTimeoutError,
    SessionRefusedError,
    SpecError,
    VagusError,
)

TREE = {
    "VagusError": "Exception",
    "ConfigError": "VagusError",
    "SpecError": "VagusError",
    "ProtocolError": "VagusError",
    "LinkError": "VagusError",
    "QueryTimeoutError": "LinkError",
    "ServerStartingError": "LinkError",
    "SessionRefusedError": "VagusError",
    "PolicyError": "VagusError",
    "ActionsRefusedError": "PolicyError",
    "GateError": "VagusError",
    "RobotError": "VagusError",
    "FrameError": "RobotError",
    "StateError": "VagusError",
}


def classes() -> dict[str, type[BaseException]]:
    found = inspect.getmembers(errors, inspect.isclass)
    return {name: kind for name, kind in found if issubclass(kind, BaseException)}


def public_parent(kind: type[BaseException]) -> str:
    return next(parent.__name__ for parent in kind.__mro__[1:] if parent.__name__ in (*TREE, "Exception"))


def test_the_tree_is_the_one_drawn() -> None:
    assert {name: public_parent(kind) for name, kind in classes().items() if name in TREE} == TREE


def test_every_error_of_the_tree_is_exported_and_drawn() -> None:
    assert sorted(errors.__all__) == sorted(TREE)
    assert errors.__doc__ is not None
    assert all(name in errors.__doc__ for name in TREE)


def test_all_errors_are_caught_by_the_root() -> None:
    assert all(issubclass(kind, VagusError) for kind in classes().values())


def test_a_query_timeout_is_caught_as_a_link_error() -> None:
    with pytest.raises(LinkError):
        raise QueryTimeoutError("no answer in 2 s")


@pytest.mark.parametrize("kind", [ConfigError, SpecError])
def test_an_error_says_what_was_wanted_what_came_and_what_to_do(kind: type[ConfigError | SpecError]) -> None:
    error = kind("state", wanted="float32 (7,)", got="float64 (6,)", fix="use --rename")
    assert str(error) == "state: wanted float32 (7,), got float64 (6,); use --rename"
    assert (error.subject, error.wanted, error.got, error.fix) == (
        "state",
        "float32 (7,)",
        "float64 (6,)",
        "use --rename",
    )


@pytest.mark.parametrize("kind", [ConfigError, SpecError])
def test_without_a_way_out_the_message_ends_with_what_came(kind: type[ConfigError | SpecError]) -> None:
    error = kind("state", wanted="7 numbers", got="6")
    assert str(error) == "state: wanted 7 numbers, got 6"
    assert error.fix == ""


def test_a_refusal_keeps_its_code_for_programs() -> None:
    error = SessionRefusedError("sessions_full", "64 of 64 sessions are open")
    assert (error.code, error.reason) == ("sessions_full", "64 of 64 sessions are open")
    assert str(error) == "session refused (sessions_full): 64 of 64 sessions are open"


def test_a_plain_error_is_its_text() -> None:
    assert str(ProtocolError("header: wanted 27 bytes, got 3")) == "header: wanted 27 bytes, got 3"
