"""What `vagus chaos` does to a port, and says."""

from __future__ import annotations

import re
import socket

import pytest

from process.rig import START_S
from vagus.cli.chaos import ChaosCommand, in_words
from vagus.cli.child import Child
from vagus.cli.parse import parse_as
from vagus.errors import ConfigError
from vagus.transport.endpoints import bracketed
from vagus.transport.faults import FaultProxy, Faults


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (Faults(), "nothing added"),
        (Faults(delay_ms=150, jitter_ms=20), "150 ms more delay each way, up to 20 ms jitter"),
        (Faults(rare_ms=300, rare_share=0.05), "300 ms more for 5.0% of the messages"),
        (Faults(rate_mbit=2.5, stall=True), "at most 2.5 Mbit/s each way, every byte held"),
        (Faults(black_hole=True, cut=True), "every byte swallowed, all connections refused"),
    ],
)
def test_faults_are_said_in_words(faults: Faults, words: str) -> None:
    assert in_words(faults) == words


def test_an_address_is_printed_as_it_can_be_typed() -> None:
    assert (bracketed("::1"), bracketed("10.0.0.1")) == ("[::1]", "10.0.0.1")


@pytest.mark.parametrize(
    ("flag", "lacking"), [("--rare-ms", "--rare-share, too"), ("--rare-share", "--rare-ms, too")]
)
def test_a_rare_delay_that_would_never_come_is_refused(flag: str, lacking: str) -> None:
    command = parse_as(ChaosCommand, "chaos", ["127.0.0.1:0", "127.0.0.1:1", flag, "0.5"])
    with pytest.raises(ConfigError, match=lacking):
        command.run()


@pytest.mark.process
def test_after_a_cut_all_faults_hold_again(monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    original = FaultProxy.set

    def noted(proxy: FaultProxy, faults: Faults) -> None:
        held.append(faults)
        original(proxy, faults)
        if len(held) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(FaultProxy, "set", noted)
    flags = ["--delay-ms", "150", "--cut-every-s", "0.1", "--cut-for-s", "0.1"]
    with socket.create_server(("127.0.0.1", 0)) as target:
        port = target.getsockname()[1]
        arguments = ["127.0.0.1:0", f"127.0.0.1:{port}", *flags]
        with pytest.raises(KeyboardInterrupt):
            parse_as(ChaosCommand, "chaos", arguments).run()
    cut, whole = Faults(delay_ms=150, cut=True), Faults(delay_ms=150)
    assert held == [cut, whole, cut, whole]


@pytest.mark.process
def test_a_target_that_refuses_is_told_and_that_it_is_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with Child("chaos", ["chaos", "127.0.0.1:0", f"127.0.0.1:{port}"]) as chaos:
        said = chaos.wait_for_line("forwarding", timeout_s=START_S)
        found = re.search(r"127.0.0.1:(\d+) to", said)
        assert found
        place = ("127.0.0.1", int(found.group(1)))
        socket.create_connection(place).close()
        chaos.wait_for_line(f"no connection to 127.0.0.1 port {port}", timeout_s=START_S)
        with socket.create_server(("127.0.0.1", port)):
            socket.create_connection(place).close()
            chaos.wait_for_line("takes connections again", timeout_s=START_S)
