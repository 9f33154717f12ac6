"""A foreign server as a process, and the profile of the simulated arm for it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from draft_server import MODEL_REPO, TASK
from remote_server import DEPLOYMENT, SEMANTICS

__all__ = ["ADDRESSES", "OPTIONS", "Foreign", "profile_in"]

SERVER = Path(__file__).parents[1] / "foreign_server.py"
ADDRESSES = {
    "openpi": "openpi+ws",
    "gr00t": "gr00t+tcp",
    "pointact": "pointact+tcp",
    "pointact_http": "pointact+http",
    "lerobot_grpc": "lerobot+grpc",
    "astribot": "astribot+grpc",
    "lerobot_zenoh": "lerobot+zenoh",
    "lerobot_zenoh_draft": "lerobot_draft+zenoh",
}
OPTIONS = {
    "pointact": ("repo_id", "user/model"),
    "pointact_http": ("repo_id", "user/model"),
    "lerobot_grpc": ("policy_type", "act", "checkpoint", "user/act"),
    "astribot": ("config_name", "pi05_astribot"),
    "lerobot_zenoh": ("deployment", DEPLOYMENT),
    "lerobot_zenoh_draft": ("model_repo", MODEL_REPO, "task", TASK),
}
"""Options besides the profile."""
KEYS = {
    "openpi": ("observation/state", "actions", "prompt"),
    "gr00t": ("[state, joints]", "[action, joints]", "[language, annotation.human.task_description]"),
    "pointact": ("observation.state", "action", "task"),
    "pointact_http": ("observation.state", "action", "task"),
    "lerobot_grpc": ("observation.state", "actions", "task"),
    "astribot": ("state", "actions", "prompt"),
    "lerobot_zenoh": ("observation.state", "action", "task"),
    "lerobot_zenoh_draft": ("observation.state", "action", "task"),
}
JOINTS = "[joint_1, joint_2, joint_3, joint_4, joint_5, joint_6]"


def profile_in(folder: Path, protocol: str) -> Path:
    """Write the profile of the simulated arm."""
    state, actions, instruction = KEYS[protocol]
    path = folder / f"{protocol}.yaml"
    semantics = f"semantics: {SEMANTICS}\n" if protocol == "lerobot_zenoh" else ""
    path.write_text(
        f"{semantics}protocol: {protocol.removesuffix('_http')}\nrobot_type: sim\nrate_hz: 30\nhorizon: 60\n"
        f"instruction: {instruction}\n"
        f"state:\n  - {{key: {state}, names: {JOINTS}, unit: rad}}\n"
        f"actions:\n  - {{key: {actions}, names: {JOINTS}, unit: rad}}\n"
    )
    return path


class Foreign:
    """The foreign server's process."""

    def __init__(self, folder: Path, protocol: str, *more: str, python: str = sys.executable) -> None:
        self.protocol = protocol
        self._python = python
        self._more = more
        self._wish = folder / "wish"
        self.wish()
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        """Address for `--policy`."""
        return f"{ADDRESSES[self.protocol]}://127.0.0.1:{self.port}"

    def wish(self, word: str = "") -> None:
        """Say how requests are answered from now on."""
        self._wish.write_text(word)

    def start(self, metadata: str = "a") -> None:
        """Start it, and wait until it listens."""
        told = [
            self.protocol,
            "--port",
            str(self.port),
            "--wish",
            str(self._wish),
            "--metadata",
            metadata,
            *self._more,
        ]
        self._process = subprocess.Popen(
            [self._python, str(SERVER), *told], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().split()[-1])

    def stop(self) -> None:
        """Stop the process where it is."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
