"""Flags that say which policy plays in a study: as `vagus serve` takes them, or its manifest."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from vagus.cli.switches import with_switches
from vagus.errors import ConfigError
from vagus.import_path import Option
from vagus.policies.options import OptionValue, parted
from vagus.policies.registry import check_backend_options, options_of
from vagus.server.config import ServeConfig
from vagus.server.manifest import load_manifest

__all__ = ["PolicyFlags"]


@dataclass(frozen=True)
class PolicyFlags:
    """Which policy, and how it is set up. A flag wins over the manifest."""

    policy: str = ""
    """As for `vagus serve`: a backend by name, your own as file.py:name or package.module:name, or the
    address of another system's server; unset: gates, in the world gates."""
    manifest: Path | None = None
    """Manifest of `vagus serve`, for the policy and its settings; those of the network do nothing here."""
    model: str = ""
    """Source of the weights."""
    revision: str = ""
    """Revision of the weights; empty: main."""
    dtype: str = ""
    """Number format of the weights, if the backend has a choice."""
    device: str = ""
    """Device of the inference, if the backend has a choice, e.g. cuda:0."""
    options: dict[str, Option] = field(default_factory=dict)
    """Settings of the policy, e.g. --options continuation given; `vagus serve --policy NAME --help` lists
    them."""
    default_task: str = ""
    """Instruction of every episode; empty: the policy's default."""
    trained_rate_hz: float | None = None
    """Rate of the training, if the policy does not know it."""
    trust_units: bool = False
    """Accept units that world or policy does not state."""

    def config(self, fallback: str) -> ServeConfig:
        """Return the settings of a server for this policy.

        Args:
            fallback: policy if nothing names one; "": one must be named.

        Raises:
            ConfigError: no policy, or a setting that it does not take.
        """
        config = ServeConfig() if self.manifest is None else load_manifest(self.manifest)
        policy = self.policy or config.policy or fallback
        if not policy:
            raise ConfigError(
                "policy", wanted="--policy or --manifest: what plays in this world", got="neither"
            )
        typed: dict[str, OptionValue] = dict(with_switches(self.options))
        kind = options_of(policy)
        options = {**config.options, **(typed if kind is None else parted(kind, typed))}
        check_backend_options(policy, options)
        known = {entry.name for entry in fields(ServeConfig)}
        given = {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if entry.name in known and getattr(self, entry.name) != entry.default
        }
        return replace(config, **{**given, "policy": policy, "options": options})
