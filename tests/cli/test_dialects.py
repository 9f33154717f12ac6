"""What `vagus doctor --dialect` prints and returns."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from vagus.cli.doctor import DoctorCommand
from vagus.cli.exit_code import ExitCode
from vagus.errors import ConfigError, LinkError

pytest.importorskip("websockets")

from websockets.sync.server import ServerConnection, serve


@contextmanager
def openpi(first: bytes) -> Iterator[str]:
    def greet(connection: ServerConnection) -> None:
        connection.send(first)
        for _ in connection:
            pass

    with serve(greet, "127.0.0.1", 0, compression=None, close_timeout=0.1) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
    thread.join()


def test_a_recognised_protocol_is_printed_with_its_checks(capsys: pytest.CaptureFixture[str]) -> None:
    with openpi(b"\x81\xa5[red]\xa2\x1b\x07") as address:
        assert DoctorCommand(dialect=address).run() == ExitCode.OK
        shown = capsys.readouterr().out
        assert "ok openpi WebSocket: metadata with the keys: [red]" in shown
        assert "kept its metadata come first" in shown
        assert "open observations and actions: not tried: that runs the policy" in shown
        assert "\x07" not in shown
        assert DoctorCommand(dialect=address, json=True).run() == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    [found] = said["recognised"]
    assert (found["protocol"], found["version"], found["kept"]) == ("openpi", "WebSocket", True)
    assert [check["kept"] for check in found["checks"]] == [True, True, None, None]


def test_what_is_not_recognised_is_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    with openpi(b"\xc1") as address:
        assert DoctorCommand(dialect=address).run() == ExitCode.REFUSED
    assert "problem it speaks none of the protocols that vagus recognises" in capsys.readouterr().out


def test_nobody_there_and_no_address_are_errors(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(LinkError, match="nothing listens"):
        DoctorCommand(dialect=f"127.0.0.1:{port}", json=True).run()
    assert json.loads(capsys.readouterr().out)["recognised"] == []
    with pytest.raises(ConfigError, match="an address such as"):
        DoctorCommand(dialect="gpu").run()
    with pytest.raises(ConfigError, match="--dialect host:port"):
        DoctorCommand(json=True).run()
