"""Settings of a trial as arguments of real processes. Pure."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import fields

import msgspec

from vagus.edge.config import EdgeConfig
from vagus.errors import ConfigError
from vagus.server.config import ServeConfig
from vagus.trials.agreement import steps_of
from vagus.trials.delay_law import DelayLaw
from vagus.trials.entrants import config_for

__all__ = ["CHAIN_MS", "chaos_flags", "edge_flags", "manifest_of"]

CHAIN_MS = 10.0
"""What router, server, inference and threads add on an ordinary machine; it may as well be half or twice as
much."""
OF_THE_POLICY = (
    *("policy", "model", "revision", "dtype", "device", "options", "spec", "default_task", "pin_task"),
    *("trained_rate_hz", "rtc", "rtc_schedule", "rtc_max_guidance", "rtc_prefix_horizon"),
)
"""Settings of a server that change what the policy says; the others are those of its operator's network."""
UNHINDERED = {"admission": "off", "rate_control": False}
"""Settings of a server that lets each robot ask when its way of playing says so, as in a simulated trial."""


def edge_flags(config: EdgeConfig) -> list[str]:
    """Return the arguments of `vagus run` for these settings; what is usual is left out."""
    arguments: list[str] = []
    for entry in fields(config):
        value, flag = getattr(config, entry.name), entry.name.replace("_", "-")
        if value == entry.default:
            continue
        if isinstance(value, bool):
            arguments.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            arguments += [f"--{flag}", str(value.value if isinstance(value, enum.Enum) else value)]
    return arguments


def manifest_of(config: ServeConfig, settings: Mapping[str, object], options: Mapping[str, str]) -> bytes:
    """Return the manifest of a server, JSON.

    Args:
        config: as the policy's operator set it up; only what is of the policy is taken.
        settings: of a way of playing, beside them.
        options: likewise, for the policy alone.
    """
    whole = config_for(config, settings, options)
    usual = ServeConfig()
    told = {name: getattr(whole, name) for name in OF_THE_POLICY}
    changed = {name: value for name, value in told.items() if value != getattr(usual, name)}
    return msgspec.json.encode({**changed, **UNHINDERED}, enc_hook=str)


def chaos_flags(law: DelayLaw, step_ms: float) -> list[str]:
    """Return the arguments of `vagus chaos` for a law, less what the rest of the way takes.

    A robot takes a chunk at its next step, so a delay within a step is like any other in it: the middle of
    the step is aimed at, because real delays vary. A rare delay may come on the way there or back.

    Raises:
        ConfigError: the law is neither constant nor mixed.
    """
    plain = DelayLaw(law.usual_ms, rare_ms=law.rare_ms, rare_share=law.rare_share, name=law.name)
    if law != plain:
        raise ConfigError("delays", wanted="with --processes, MS or mixed:USUAL:RARE:SHARE", got=law.name)
    usual_ms, rare_ms = _aim_ms(law.usual_ms, step_ms), _aim_ms(law.rare_ms, step_ms)
    flags = ["--delay-ms", f"{max(usual_ms - CHAIN_MS, 0.0) / 2:g}"]
    if not law.rare_share:
        return flags
    if rare_ms <= usual_ms:
        wanted = "with --processes, a rare delay that ends at a later step"
        raise ConfigError("delays", wanted=wanted, got=law.name)
    each_way = 1 - math.sqrt(1 - law.rare_share)
    return [*flags, "--rare-ms", f"{rare_ms - usual_ms:g}", "--rare-share", f"{each_way:.6f}"]


def _aim_ms(delay_ms: float, step_ms: float) -> float:
    return (steps_of(delay_ms, step_ms) - 0.5) * step_ms
