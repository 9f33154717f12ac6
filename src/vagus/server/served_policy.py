"""Policy that this server offers: loaded, with the operator's settings and one model hash."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from vagus.errors import ConfigError, PolicyError
from vagus.import_path import Option
from vagus.policies.policy import BoundsBatches, Policy, Row, ServingMode, SplitsBatches, failure_of
from vagus.policies.registry import load_policy
from vagus.quoting import quoted
from vagus.server.config import ServeConfig, ServingChoice
from vagus.specs import PolicySpec
from vagus.types import ActionChunk, FloatArray, Observation

__all__ = ["ServedPolicy", "check_result", "infer_rows", "load_model"]

SessionT = TypeVar("SessionT")

NUMBERS = "fiub"
"""Kinds of numpy arrays that hold numbers."""


@dataclass(frozen=True, slots=True)
class ServedPolicy(Generic[SessionT]):
    """Loaded policy with the operator's settings.

    Attributes:
        policy: the loaded policy.
        spec: spec of the policy, with the operator's settings.
        dtype: number format in the operator's settings.
        exclusive_because: reason for only one robot at a time; "": any number of robots may share it.
    """

    policy: Policy[SessionT]
    spec: PolicySpec
    dtype: str
    exclusive_because: str

    @property
    def model_hash(self) -> str:
        """Model hash, over the policy's own hash and every setting that changes outputs.

        Read it after the warm-up, because files that a policy reads in its first call are part of it.
        """
        digest = hashlib.sha256(self.policy.model_hash.encode())
        digest.update(repr((self.dtype, self.spec.rtc, self.spec.default_instruction)).encode())
        return digest.hexdigest()

    def batch_key(self, observation: Observation) -> Hashable:
        """Return the key that requests of one forward pass have in common. Any thread may call it."""
        return self.policy.batch_key(observation) if isinstance(self.policy, SplitsBatches) else None

    def max_batch(self, most: int) -> int:
        """Return the largest number of requests in one batch: `most`, or what the policy takes at once."""
        if self.is_exclusive:
            return 1
        return min(most, self.policy.max_rows) if isinstance(self.policy, BoundsBatches) else most

    @property
    def is_exclusive(self) -> bool:
        """Whether only one robot at a time is served."""
        return bool(self.exclusive_because)

    @classmethod
    def of(cls, policy: Policy[SessionT], config: ServeConfig) -> ServedPolicy[SessionT]:
        """Return `policy` with the settings in `config`.

        Raises:
            ConfigError: the policy cannot be served, or there is no task to pin.
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
    """Load the policy that `config` names.

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
    """Return one checked result per row, or one error if the policy raised or the number of results is wrong.

    Each result is copied at once, because a policy may yield results and reuse one buffer.
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
    """Return `result` as a chunk that may be commanded, or a PolicyError with the reason why not.

    Arrays of numbers are copied as float32. No object of the policy is passed on.
    """
    try:
        return _checked(result, spec, step)
    except BaseException as error:  # noqa: BLE001 - an object of others may raise when it is looked at
        return failure_of(error)


def _checked(result: object, spec: PolicySpec, step: int) -> ActionChunk:
    """Return `result` with plain arrays.

    Raises:
        PolicyError: the result must not be commanded.
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
        PolicyError: no numbers, a wrong shape, or not finite as float32.
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
