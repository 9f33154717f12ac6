"""`vagus serve`: one policy, many robots."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape

from vagus.cli.exit_code import ExitCode
from vagus.cli.signals import stop_event
from vagus.server.config import ServeConfig
from vagus.server.manifest import load_manifest
from vagus.server.model import load_model
from vagus.server.server import Server
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.wire.schema import Capabilities

__all__ = ["ServeCommand", "serve_defaults"]

POLL_S = 0.2
"""Bounds how late a signal or a failed policy is noticed."""

WAIT_POLICY = ("OMP_WAIT_POLICY", "PASSIVE")
"""Threads of a policy on the CPU sleep while they wait for each other. By default they spin, and on cores
that anything else uses, too, a small network then takes twenty times as long. Read when torch is imported."""


@dataclass(frozen=True, kw_only=True)
class ServeFlags(ServeConfig):
    """The settings as flags: those of the network without a prefix, as in every other command."""

    zenoh: Annotated[ZenohConfig, tyro.conf.arg(name="")] = field(default_factory=ZenohConfig)

    @classmethod
    def of(cls, config: ServeConfig) -> ServeFlags:
        """Return the same settings as flags."""
        return cls(**{entry.name: getattr(config, entry.name) for entry in fields(config)})


@dataclass(frozen=True)
class ServeCommand:
    """Serve a policy to robots.

    Give a manifest, flags, or both; flags win. Example: vagus serve --policy my_policy.py:act
    """

    manifest: Annotated[Path | None, tyro.conf.Positional] = None
    """Settings in a .yaml, .toml or .json file; must be the first argument."""
    config: Annotated[ServeFlags, tyro.conf.arg(name="")] = field(default_factory=ServeFlags)

    def run(self) -> int:
        """Serve until Ctrl-C or SIGTERM, which drains."""
        os.environ.setdefault(*WAIT_POLICY)
        stopping = stop_event()
        console = Console()
        with (
            ZenohLink(self.config.zenoh) as link,
            Server(link, lambda: load_model(self.config), self.config) as server,
        ):
            console.print(f"loading {escape(self.config.policy)} …", highlight=False)
            if not _wait_ready(server, stopping):
                return ExitCode.INTERRUPTED
            for line in describe(server.capabilities()):
                console.print(escape(line), highlight=False, soft_wrap=True)
            console.print(f"server ready: {server.key.server}", highlight=False)
            while not stopping.is_set():
                if server.wait(POLL_S):
                    return ExitCode.FAILED
            console.print("draining: robots are sent to other servers …")
            is_finished = server.drain()
        return ExitCode.OK if is_finished else ExitCode.FAILED


def serve_defaults(arguments: list[str]) -> ServeCommand:
    """Return the settings that flags are applied to: those of the manifest, if the arguments name one.

    Raises:
        ConfigError: the manifest cannot be read or says something wrong.
    """
    named = [
        a
        for a in arguments
        if not a.startswith("-") and Path(a).suffix in (".yaml", ".yml", ".toml", ".json")
    ]
    if not named or named[0] != arguments[0]:
        return ServeCommand()
    path = Path(named[0])
    return ServeCommand(manifest=path, config=ServeFlags.of(load_manifest(path)))


def describe(said: Capabilities) -> list[str]:
    """Return what is served, and how many robots the measured latency allows."""
    rtc = f"real-time chunking over {said.rtc.prefix_horizon} steps" if said.rtc else "no real-time chunking"
    lines = [
        f"service {said.model}/{said.revision}/{said.service_name}, model hash {said.model_hash[:12]}",
        f"{said.policy_type}, {said.serving_mode}: {said.horizon} actions at {said.rate_hz:g} Hz, {rtc}",
    ]
    if said.serving_reason:
        lines.append(f"one robot at a time, because {said.serving_reason}")
    if not said.latency:
        return lines
    profile = ", ".join(f"{row.batch_size}: {row.p50_ms:.1f}" for row in said.latency)
    lines.append(f"inference, ms per batch size: {profile}")
    chunk_s = said.horizon / said.rate_hz
    robots = max(int(row.batch_size * chunk_s * 1000 / max(row.p50_ms, 0.001)) for row in said.latency)
    limit = said.load.max_sessions
    lines.append(f"enough for about {robots} robots that use up whole chunks (sessions: {limit})")
    return lines


def _wait_ready(server: Server[object], stopping: threading.Event) -> bool:
    while not stopping.is_set():
        if server.wait_ready(POLL_S):
            return True
    return False
