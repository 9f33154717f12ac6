"""What the documents tell people to type is done, in the order in which it stands there."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

from documents import DOCUMENTS, ROOT, Typed, lines_typed, put_files
from process.rig import START_S, rig_in, summary_of
from vagus.cli.child import Child
from vagus.cli.exit_code import ExitCode

pytestmark = [pytest.mark.process, pytest.mark.timeout(300), pytest.mark.slow]

RUN_S = 60.0
ENDPOINT = re.compile(r"^tcp/[\w.-]+:(\d+)$")
DEFAULT_PORT = "7447"
CONNECT = ["--connect", f"tcp/127.0.0.1:{DEFAULT_PORT}"]
"""What the commands do without that flag."""
CODES = {"doctor": (ExitCode.OK, ExitCode.REFUSED)}
"""It may find that a busy machine is too slow."""


def why_not(line: Typed) -> str:
    """Return why a line is not run here, "" if it is."""
    reasons = {
        "needs LeRobot, see tests/lerobot": r"lerobot|serve\.yaml|serve\.toml|metaworld",
        "needs certificates, see tests/transport/test_router_acl.py": r"tls",
        "needs a foreign server, see test_foreign_servers.py and test_hosted_policy.py": r"\w\+\w+://",
        "needs a recording, see test_replay.py": r"replay:|replay runs/",
        "needs a policy that wants depth, see test_replay_depth.py": r"depth true",
        "needs a policy of its profile, see test_astribot_robot.py": r"gateway astribot",
        "needs an environment that is not installed": "" if find_spec("gym_pusht") else r"gym:|push",
    }
    return next((reason for reason, mark in reasons.items() if mark and re.search(mark, line.text)), "")


def scenes() -> Iterator[tuple[Path, list[Typed]]]:
    for document in DOCUMENTS:
        lines = [line for line in lines_typed(document, "vagus") if not why_not(line)]
        if any(line.words[1] == "run" for line in lines):
            yield document, lines


SCENES = list(scenes())


class Stage:
    """Runs one line after the other; what lasts goes on meanwhile, and a server until the next one."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._ports: dict[str, int] = {}
        """Documented port → ours."""
        self._router_port = 0
        self._server: Child | None = None

    def run(self, line: Typed) -> None:
        command, *rest = line.words[1:]
        if command == "router":
            router = self._start(line, [command, "--listen", "tcp/127.0.0.1:0", *rest])
            self._router_port = port_in(router.wait_for_line("router ready", timeout_s=START_S))
        elif command == "serve":
            self._serve(line, rest)
        elif command == "chaos":
            self._forward(line, rest)
        elif command == "gateway":
            gateway = self._start(line, self._on_our_ports([command, *rest, "--listen", "127.0.0.1:0"]))
            gateway.wait_for_line("gateway ready", timeout_s=START_S)
        else:
            self._call(line, [command, *rest])

    def _serve(self, line: Typed, rest: list[str]) -> None:
        """Start a server and go on at once: `vagus run` is to wait until it is ready."""
        self.end_server()
        self._ports[DEFAULT_PORT] = free_port() if "--listen" in rest else self._router_port
        network = [] if "--listen" in rest or "--connect" in rest else CONNECT
        self._server = self._start(line, self._on_our_ports(["serve", *rest, *network]))
        self._server.wait_for_line("loading", timeout_s=START_S)

    def _forward(self, line: Typed, rest: list[str]) -> None:
        listen, target, *faults = rest
        ours = f"127.0.0.1:{self._ports[target.rpartition(':')[2]]}"
        proxy = self._start(line, ["chaos", "127.0.0.1:0", ours, *faults])
        self._ports[listen.rpartition(":")[2]] = port_in(proxy.wait_for_line("forwarding", timeout_s=START_S))

    def _call(self, line: Typed, arguments: list[str]) -> None:
        network = [] if "--connect" in arguments else CONNECT
        is_run = arguments[0] == "run"
        seconds = ["--duration-s", "2"] if is_run and "--duration-s" not in arguments else []
        with Child(str(line), self._on_our_ports([*arguments, *network, *seconds])) as child:
            code = child.wait(timeout_s=RUN_S)
            assert code in CODES.get(arguments[0], (ExitCode.OK,)), f"{line}\n{child.output}"
            played = re.search(r"plan +│ (\d+) actions", child.output)
            assert not is_run or (played and int(played[1]) > 5), f"{line}\n{child.output}"

    def _on_our_ports(self, arguments: list[str]) -> list[str]:
        return [
            ENDPOINT.sub(lambda found: f"tcp/127.0.0.1:{self._ports[found[1]]}", word) for word in arguments
        ]

    def _start(self, line: Typed, arguments: list[str]) -> Child:
        return self._stack.enter_context(Child(str(line), arguments))

    def end_server(self) -> None:
        """End the last server, which must have become ready."""
        if self._server is not None and "server ready" not in self._server.output:
            self._server.wait_for_line("server ready", timeout_s=START_S)
        if self._server is not None:
            self._server.end()
        self._server = None


def port_in(said: str) -> int:
    """Return the first port that is named."""
    found = re.search(r":(\d+)", said)
    assert found, said
    return int(found[1])


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.mark.parametrize(("document", "lines"), SCENES, ids=[document.name for document, _ in SCENES])
def test_the_commands_of_a_document_work_in_their_order(
    document: Path, lines: list[Typed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")  # for the environment that is drawn
    put_files(document, tmp_path)
    with ExitStack() as stack:
        stage = Stage(stack)
        for line in lines:
            stage.run(line)
        stage.end_server()


def test_most_of_what_is_told_is_run() -> None:
    assert [document.name for document, _ in SCENES] == [
        "README.md",
        "astribot.md",
        "quickstart.md",
        "replay.md",
    ]
    assert sum(len(lines) for _, lines in SCENES) >= 12


def documented_fields() -> set[str]:
    page = (ROOT / "docs" / "recording.md").read_text(encoding="utf-8")
    table = page.partition("| field of a step |")[2].partition("\n\n")[0]
    return {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_a_recording_holds_what_is_documented(tmp_path: Path) -> None:
    with rig_in(tmp_path) as rig:
        rig.serve()
        run = summary_of(rig.start_robot("told", "--duration-s", "1"))
    folder = Path(run.recording)
    assert re.fullmatch(r"\d{8}-\d{6}-told-\w+", folder.name)
    lines = (folder / "steps.jsonl").read_text().splitlines()
    assert set(json.loads(lines[0])) == documented_fields()
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata.keys() >= {"robot", "service", "model_hash", "instruction", "actions", "tags", "summary"}
