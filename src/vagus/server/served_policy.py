"""The policy as this server offers it: loaded, in the operator's terms, with one identity."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from vagus.errors import ConfigError, PolicyError
from vagus.import_path import Option
from vagus.policies.policy import Policy, Row, ServingMode, SplitsBatches, failure_of
from vagus.policies.registry import load_policy
from vagus.quoting import quoted
from vagus.server.config import ServeConfig, ServingChoice
from vagus.specs import PolicySpec
from vagus.types import ActionChunk, FloatArray, Observation

__all__ = ["ServedPolicy", "check_result", "infer_rows", "load_model"]

SessionT = TypeVar("SessionT")

NUMBERS = "fiub"
"""Kinds of arrays that are numbers: numpy makes float64 and int64 of most."""


@dataclass(frozen=True, slots=True)
class ServedPolicy(Generic[SessionT]):
    """A policy and what it is offered as.

    Attributes:
        policy: loaded.
        spec: its spec with the operator's settings applied.
        dtype: number format that the operator asked for.
        exclusive_because: why one robot at a time; "" where any number may share it.
    """

    policy: Policy[SessionT]
    spec: PolicySpec
    dtype: str
    exclusive_because: str

    @property
    def model_hash(self) -> str:
        """Over the policy's own hash and every setting that changes outputs.

        To be asked for after the warm-up: what a policy reads on its first call is part of it.
        """
        digest = hashlib.sha256(self.policy.model_hash.encode())
        digest.update(repr((self.dtype, self.spec.rtc, self.spec.default_instruction)).encode())
        return digest.hexdigest()

    def batch_key(self, observation: Observation) -> Hashable:
        """Return what requests must share to go through the network together (any thread)."""
        return self.policy.batch_key(observation) if isinstance(self.policy, SplitsBatches) else None

    @property
    def is_exclusive(self) -> bool:
        """One robot at a time."""
        return bool(self.exclusive_because)

    @classmethod
    def of(cls, policy: Policy[SessionT], config: ServeConfig) -> ServedPolicy[SessionT]:
        """Return `policy` as `config` offers it.

        Raises:
            ConfigError: the family cannot be served, or there is no task to pin.
        """
        if policy.serving_mode is ServingMode.REFUSED:
            raise ConfigError(
                f"policy {config.policy!r}",
                wanted="a policy that gives chunks of actions",
                got="one that needs every single observation",
                fix="run it beside the robot",
            )
        spec = _offered(policy.spec, config)
        if config.pin_task and not spec.default_instruction:
            raise ConfigError("pin_task", wanted="a default task to pin", got="none", fix="set default_task")
        because = ""
        if policy.serving_mode is ServingMode.EXCLUSIVE:
            because = getattr(policy, "serving_reason", "") or "it says so (serving_mode)"
        elif config.serving_mode is ServingChoice.EXCLUSIVE:
            because = "the server was told so (serving_mode: exclusive)"
        return cls(policy, spec, config.dtype, because)


def load_model(config: ServeConfig, thing: object | None = None) -> Policy[object]:
    """Return the policy that `config` names, loaded.

    Args:
        config: settings.
        thing: the policy itself, where a program has it at hand.

    Raises:
        ConfigError: an unknown name, a missing extra, or an option that the policy does not take.
        PolicyError: it cannot be loaded.
    """
    settings: dict[str, Option | None] = {
        "model": config.model or None,
        "revision": config.revision,
        "dtype": config.dtype or None,
        "device": config.device or None,
        "rtc_schedule": config.rtc_schedule or None,
        "rtc_max_guidance": config.rtc_max_guidance,
    }
    is_own = thing is not None or ":" in config.policy
    return load_policy(
        config.policy,
        options=config.options,
        settings={name: value for name, value in settings.items() if value is not None},
        spec=config.spec.to_spec() if config.spec.actions and is_own else None,
        stated={
            "stated": config.spec,
            "trained_rate_hz": config.trained_rate_hz,
        },
        thing=thing,
    )


def infer_rows(
    policy: Policy[SessionT], spec: PolicySpec, rows: Sequence[Row[SessionT]]
) -> list[ActionChunk | PolicyError] | PolicyError:
    """Return one checked result per row, or why there is none for any: the policy raised, or miscounted.

    Each is copied as it comes: a policy that yields them may fill one buffer again and again.
    """
    checked: list[ActionChunk | PolicyError] = []
    try:
        for result in itertools.islice(policy.infer(list(rows)), len(rows) + 1):
            if len(checked) == len(rows):
                return PolicyError(f"the policy gave more results for {len(rows)} rows")
            checked.append(check_result(result, spec, rows[len(checked)].step))
    except BaseException as error:  # noqa: BLE001 - it may raise anything; its robots are told
        return failure_of(error)
    if len(checked) < len(rows):
        return PolicyError(f"the policy gave {len(checked)} results for {len(rows)} rows")
    return checked


def check_result(result: object, spec: PolicySpec, step: int) -> ActionChunk | PolicyError:
    """Return `result` as a chunk that may be commanded, or a PolicyError that says why it may not.

    Arrays of numbers become float32, each a copy. Nothing of the policy's own making is passed on.
    """
    try:
        return _checked(result, spec, step)
    except BaseException as error:  # noqa: BLE001 - an object of others may raise when it is looked at
        return failure_of(error)


def _checked(result: object, spec: PolicySpec, step: int) -> ActionChunk:
    """Return `result` made of plain arrays.

    Raises:
        PolicyError: it must not be commanded.
    """
    if isinstance(result, PolicyError):
        raise result
    if not isinstance(result, ActionChunk):
        raise PolicyError(f"the policy gave a {type(result).__name__}, not an ActionChunk")
    if result.step != step:
        raise PolicyError(f"the policy answered for step {quoted(result.step)}, asked for {step}")
    model = _floats("model", result.model, spec.model_dim, spec.horizon)
    robot = _floats("robot", result.robot, len(spec.actions), spec.horizon)
    if len(model) != len(robot):
        raise PolicyError(f"{len(model)} actions in model space, {len(robot)} in the robot's")
    return ActionChunk(step, model, robot)


def _floats(name: str, actions: object, width: int, horizon: int) -> FloatArray:
    """Return actions as a plain float32 array.

    Raises:
        PolicyError: no numbers, another shape, or not finite as float32.
    """
    if not isinstance(actions, np.ndarray) or actions.dtype.kind not in NUMBERS:
        got = actions.dtype if isinstance(actions, np.ndarray) else type(actions).__name__
        raise PolicyError(f"actions ({name}): wanted an array of numbers, got {got}")
    if actions.ndim != 2 or actions.shape[1] != width or not 1 <= actions.shape[0] <= horizon:
        raise PolicyError(
            f"actions ({name}): wanted shape (1 to {horizon}, {width}), got {quoted(actions.shape)}"
        )
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused below
        floats: FloatArray = np.array(actions, np.float32)  # a policy may write into its own later
    if not np.isfinite(floats).all():
        fault = "NaN or infinity" if not np.isfinite(actions).all() else "beyond what float32 can hold"
        raise PolicyError(f"actions ({name}): {fault}")
    return floats


def _offered(spec: PolicySpec, config: ServeConfig) -> PolicySpec:
    rtc = spec.rtc if config.rtc else None
    if rtc is not None:
        rtc = replace(
            rtc,
            prefix_horizon=config.rtc_prefix_horizon or rtc.prefix_horizon,
            schedule=config.rtc_schedule or rtc.schedule,
            max_guidance=rtc.max_guidance if config.rtc_max_guidance is None else config.rtc_max_guidance,
        )
    return replace(
        spec,
        rate_hz=config.trained_rate_hz or spec.rate_hz,
        rtc=rtc,
        default_instruction=config.default_task or spec.default_instruction,
    )
