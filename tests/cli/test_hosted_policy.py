"""Settings of a policy that `vagus run` hosts itself, before anything is started."""

from __future__ import annotations

import pytest

from vagus.cli.exit_code import ExitCode, exit_code_of
from vagus.cli.hosted_policy import HostedPolicy, told_by
from vagus.cli.run import RunCommand
from vagus.errors import ConfigError, VagusError

GR00T = ("--policy", "gr00t+tcp://127.0.0.1:1")
PROFILE = ("--policy-options", "profile", "so100")


def test_an_address_comes_with_its_options() -> None:
    command = RunCommand.from_arguments([*GR00T, *PROFILE, "timeout_s", "2.0"])
    assert command.policy == "gr00t+tcp://127.0.0.1:1"
    assert command.policy_options == {"profile": "so100", "timeout_s": 2.0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*GR00T, *PROFILE, "--connect", "tcp/x:1"), "its own link"),
        ((*GR00T, *PROFILE, "--mode", "peer", "--listen", "tcp/127.0.0.1:1"), "its own link"),
        ((*GR00T, *PROFILE, "--service", "a/b"), "its own link"),
        ((*GR00T, "--policy-options", "profle", "x"), "profle"),
        ((*GR00T, "--policy-options", "version", "n1.8"), r"n1\.5, n1\.6, n1\.7"),
        (("--policy", "reach"), "vagus serve --policy reach"),
        (("--policy", "openpy+ws://x:1"), r"openpi\+ws://host:port"),
        (PROFILE, "policy"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        RunCommand.from_arguments([*arguments])


@pytest.mark.parametrize("code", [ExitCode.CONFIG, ExitCode.UNREACHABLE, ExitCode.POLICY, ExitCode.FAILED])
def test_the_error_of_the_process_keeps_its_words_and_its_exit_code(code: ExitCode) -> None:
    error = told_by(int(code), "loading …\nvagus: first\nvagus: no such profile", VagusError("it ended"))
    assert str(error) == "no such profile"
    assert exit_code_of(error) is code


def test_a_process_that_was_killed_has_no_words() -> None:
    ended = VagusError("it ended with code -9")
    assert told_by(-9, "loading …", ended) is ended


def test_what_was_not_started_ends_without_trouble() -> None:
    with HostedPolicy("gr00t+tcp://127.0.0.1:1", {}):
        pass
