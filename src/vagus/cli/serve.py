"""Command `vagus serve`: one policy for many robots."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, ClassVar

import tyro
from rich.console import Console
from rich.markup import escape

from vagus.api.serve import PolicyServer, describe
from vagus.api.stop_signal import stop_event
from vagus.cli.backend_help import help_on, policy_among
from vagus.cli.console import console, say
from vagus.cli.exit_code import ExitCode
from vagus.cli.log_output import TOLD, LogFlags
from vagus.cli.needed import check_needed
from vagus.cli.parse import parse_as
from vagus.cli.serve_arguments import manifest_among
from vagus.cli.signals import code_after
from vagus.cli.switches import with_switches
from vagus.cli.waiting import keep_trying
from vagus.errors import ConfigError
from vagus.gateway_config import GatewayConfig
from vagus.import_path import Option, load_brought
from vagus.policies.declare import SpecTable
from vagus.policies.options import OptionValue, parted
from vagus.policies.registry import (
    ADDRESSES,
    BACKENDS,
    check_backend_options,
    check_places,
    options_of,
)
from vagus.server.config import ServeConfig
from vagus.server.manifest import load_manifest
from vagus.server.served_policy import load_model
from vagus.server.tenants import Tenant
from vagus.transport.zenoh_config import ZenohConfig

__all__ = ["ServeCommand"]

WAIT_POLICY = ("OMP_WAIT_POLICY", "PASSIVE")
"""Wait policy of CPU threads: they sleep while they wait for each other. By default they spin; on busy cores,
a small network then takes twenty times as long. Torch reads it at import."""


WHAT = (
    "a manifest (.yaml, .toml or .json) that names a policy, or "
    f"--policy: {', '.join(sorted(BACKENDS))}, your own as file.py:name or package.module:name, or another "
    f"system's server ({ADDRESSES})"
)


LEROBOT_MANIFEST = "vagus.integrations.lerobot.policy.manifest"
"""Function that is loaded by name, because it needs LeRobot."""

TABLES = tuple(entry.name for entry in fields(SpecTable) if entry.default_factory is dict)


NEEDED = {
    "health_port": ("health_host",),
    "audit_path": ("audit_max_mb",),
    "capture_dir": ("capture_every", "capture_max_mb"),
    "rtc": ("rtc_schedule", "rtc_max_guidance", "rtc_prefix_horizon"),
    "warm_up": ("warm_up_runs",),
}
"""Setting → settings that have no effect without it."""


@dataclass(frozen=True, kw_only=True)
class ServeFlags(ServeConfig):
    """The settings as flags: those of the network without a prefix, as in every other command."""

    zenoh: Annotated[ZenohConfig, tyro.conf.arg(name="")] = field(default_factory=ZenohConfig)
    gateways: tyro.conf.Suppress[tuple[GatewayConfig, ...]] = ()
    tenants: tyro.conf.Suppress[tuple[Tenant, ...]] = ()
    options: dict[str, Option] = field(default_factory=dict)  # type: ignore[assignment] # a list is typed with commas
    """Settings of the policy, e.g. --options inference_ms 60; a list has commas: allowed_sources
    outputs,lerobot. --policy NAME --help lists them. For a class of your own: fields of its options_type, or
    arguments of its constructor."""

    @classmethod
    def of(cls, config: ServeConfig) -> ServeFlags:
        """Return the same settings as flags."""
        return cls(**{entry.name: getattr(config, entry.name) for entry in fields(config)})

    def without_tables(self) -> ServeFlags:
        """Return the same without tables of names: tyro would make one flag of each name that is there."""
        empty = {name: getattr(SpecTable(), name) for name in TABLES}
        return replace(self, options={}, spec=replace(self.spec, **empty))

    def over(self, below: ServeFlags) -> ServeFlags:
        """Return the same with the tables of `below` where there are none here; single options win."""
        tables = {name: getattr(self.spec, name) or getattr(below.spec, name) for name in TABLES}
        typed: Mapping[str, OptionValue] = with_switches(self.options)
        kind = options_of(self.policy)
        typed = typed if kind is None else parted(kind, typed)
        both = {"options": {**below.options, **typed}, "spec": replace(self.spec, **tables)}
        return replace(self, **both)  # type: ignore[arg-type] # lists, too, once they are parted


@dataclass(frozen=True)
class ServeCommand:
    """Serve a policy to robots.

    Give a manifest, flags, or both; flags win. Example: vagus serve --policy my_policy.py:act
    """

    manifest: Annotated[Path | None, tyro.conf.Positional] = None
    """Settings in a .yaml, .toml or .json file."""
    config: Annotated[ServeFlags, tyro.conf.arg(name="")] = field(default_factory=ServeFlags)
    write_manifest: Path | None = None
    """Write the manifest of a LeRobot checkpoint to this new .yaml file, and do not serve."""
    dataset: str = ""
    """With --write-manifest: folder or name of the training dataset, for names and rate."""
    wait: bool = False
    """Wait for a router, instead of an error after --open-timeout-s."""
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)
    is_lasting: ClassVar[bool] = True
    """The command must not hang or fail because of its terminal."""
    told: ClassVar[tuple[str, ...]] = (*TOLD, "vagus")
    """Loggers that are shown: sessions, and failures of the policy."""

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> ServeCommand:
        """Return the command as the arguments have it, on top of the manifest among them.

        Raises:
            SystemExit: help was asked for, or a flag does not fit; either was printed.
            ConfigError: the manifest is wrong, nothing says what to serve, or something is not understood.
        """
        path, rest = manifest_among(arguments, cls)
        config = ServeFlags() if path is None else ServeFlags.of(load_manifest(path))
        policy = policy_among(rest) or config.policy
        flags = [word.partition("=")[0][2:].replace("-", "_") for word in rest if word.startswith("--")]
        check_places(policy, flags, lambda name: f"--options {name} …")
        with help_on(policy):
            command = parse_as(cls, "serve", rest, default=cls(path, config.without_tables()))
        if command.manifest != path:
            raise _not_a_manifest(str(command.manifest))
        command = replace(command, config=command.config.over(config))
        _check_used(command.config, config)
        check_backend_options(command.config.policy, command.config.options)
        if command.dataset and command.write_manifest is None:
            raise ConfigError("dataset", wanted="--write-manifest, too", got=command.dataset)
        if not command.config.policy:
            raise ConfigError("serve", wanted=WHAT, got="neither" if path is None else f"{path} without one")
        return command

    def run(self) -> int:
        """Serve until an end signal, then drain."""
        if self.write_manifest is not None:
            return self._write_manifest(self.write_manifest)
        os.environ.setdefault(*WAIT_POLICY)
        stopping = stop_event()
        screen = console()
        with PolicyServer(self.config, lambda: load_model(self.config)) as server:
            if self.wait:
                keep_trying(server.connect, screen, stopping)
            else:
                server.connect()
            server.start()
            self._warn_of_open_port(screen)
            screen.print(f"loading {escape(self.config.policy)} …", highlight=False)
            if not server.wait_ready(stopping):
                server.close()
                return code_after(stopping)
            for line in (*describe(server.capabilities()), *server.gateways()):
                screen.print(escape(line), highlight=False, soft_wrap=True)
            screen.print(f"server ready: {server.name}", highlight=False)
            if server.wait_stopped(stopping):
                return ExitCode.FAILED
            screen.print("draining: robots are sent to other servers …")
            is_finished = server.drain()
        return ExitCode.OK if is_finished else ExitCode.FAILED

    def _write_manifest(self, path: Path) -> int:
        config = self.config
        if config.policy != "lerobot":
            raise ConfigError(
                "write_manifest",
                wanted="--policy lerobot: others say themselves what they want",
                got=config.policy,
            )
        writer = load_brought(LEROBOT_MANIFEST, subject="policy 'lerobot'", extra="lerobot")
        writer.write_manifest(
            path,
            model=config.model,
            revision=config.revision,
            table=config.spec,
            trained_rate_hz=config.trained_rate_hz,
            options=config.options,
            dataset=self.dataset,
        )
        say(f"{path}: check every line, names and units above all, then: vagus serve {path}")
        return ExitCode.OK

    def _warn_of_open_port(self, screen: Console) -> None:
        if self.config.zenoh.listen and not self.config.zenoh.tls.is_on:
            screen.print("no certificates: whoever reaches this port can ask this policy and see its robots")


def _check_used(config: ServeConfig, below: ServeConfig) -> None:
    """Raise ConfigError if a flag has no effect; a manifest may hold settings that are not in use."""
    for needed, names in NEEDED.items():
        check_needed(config, below, names, needed)


def _not_a_manifest(text: str) -> ConfigError:
    fix = f"did you mean --policy {text}?" if ":" in text or text in BACKENDS else ""
    return ConfigError("serve", wanted=WHAT, got=repr(text), fix=fix)
