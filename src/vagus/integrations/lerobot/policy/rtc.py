"""Real-time chunking of LeRobot's flow policies, each row of a batch with its own prefix and delay.

LeRobot's processor takes one delay and one prefix length for the whole batch, and differentiates. The
velocity it differentiates was computed before the gradient is asked for, so its Jacobian is the identity
and its correction is the error itself. Here that is written out: no autograd, any mixture of rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from lerobot.configs import RTCAttentionSchedule
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.policies.rtc import RTCConfig, RTCProcessor, reanchor_relative_rtc_prefix
from lerobot.processor import NormalizerProcessorStep, PolicyProcessorPipeline, RelativeActionsProcessorStep
from torch import Tensor

from vagus.errors import ConfigError, PolicyError

__all__ = [
    "RTC_FAMILIES",
    "BatchedRtc",
    "RtcBatch",
    "RtcPrefix",
    "collate_rtc",
    "install_rtc",
    "reanchor",
]

RTC_FAMILIES = frozenset({"smolvla", "pi0", "pi05"})
"""Policy types that hand what `prev_chunk_left_over` holds to their processor untouched."""


@dataclass(frozen=True, slots=True)
class RtcPrefix:
    """Running plan of one row.

    Attributes:
        actions: the plan from s0 on in the policy's own space, (length, action_dim), real length.
        delay: first steps of it that will be executed whatever is answered.
        prefix_horizon: step at which guidance ends (LeRobot calls this `execution_horizon`).
    """

    actions: Tensor
    delay: int
    prefix_horizon: int


@dataclass(frozen=True, slots=True, eq=False)
class RtcBatch:
    """Running plans of a batch; given to a policy as `prev_chunk_left_over`.

    Attributes:
        prefix: plans in the policy's own space, (rows, steps, action_dim), anything beyond `lengths`.
        lengths: real steps of each plan, (rows,), int64; 0: the row has none and is not guided.
        delays: steps of each plan that are executed whatever is answered, (rows,), int64.
        horizons: step at which the guidance of each row ends, (rows,), int64.
    """

    prefix: Tensor
    lengths: Tensor
    delays: Tensor
    horizons: Tensor


def collate_rtc(
    rows: Sequence[RtcPrefix | None], *, steps: int, device: torch.device | str, width: int = 0
) -> RtcBatch | None:
    """Return the plans of a batch, or None where no row has one and no width is given.

    Args:
        rows: one per row of the batch.
        steps: length of a chunk; plans are cut or padded to it, because a compiled network is compiled anew
            for every other shape.
        device: where the policy runs.
        width: action dimensions where no row has a plan: a compiled network is compiled anew without plans.

    Raises:
        PolicyError: the plans have different action dimensions.
    """
    known = [row for row in rows if row is not None and len(row.actions)]
    if not (known or width):
        return None
    widths = {int(row.actions.shape[1]) for row in known} or {width}
    if len(widths) > 1:
        raise PolicyError(f"prefixes of one batch have different action dimensions: {sorted(widths)}")
    prefix = torch.zeros(len(rows), steps, widths.pop())
    numbers = torch.zeros(3, len(rows), dtype=torch.int64)
    for index, row in enumerate(rows):
        if row is None or not len(row.actions):
            continue
        actions = row.actions[:steps]
        prefix[index, : len(actions)] = actions
        numbers[:, index] = torch.tensor([len(actions), row.delay, row.prefix_horizon])
    lengths, delays, horizons = numbers.to(device)
    return RtcBatch(prefix.to(device), lengths, delays, horizons)


class BatchedRtc(RTCProcessor):  # type: ignore[misc]  # an untyped library
    """LeRobot's RTC with per-row prefix, length, delay and horizon; works under `torch.inference_mode`."""

    def denoise_step(
        self,
        x_t: Tensor,
        prev_chunk_left_over: RtcBatch | Tensor | None,
        inference_delay: int | None,
        time: float | Tensor,
        original_denoise_step_partial: Callable[[Tensor], Tensor],
        execution_horizon: int | None = None,
    ) -> Tensor:
        """Return the guided velocity, of the shape of `x_t`.

        Args:
            x_t: noisy actions, (rows, steps, dim).
            prev_chunk_left_over: running plans; LeRobot's own tensor counts as one plan for every row.
            inference_delay: goes with LeRobot's own tensor only; an `RtcBatch` carries its own.
            time: flow time, 1 (noise) to 0 (actions).
            original_denoise_step_partial: velocity of the policy at `x_t`.
            execution_horizon: as `inference_delay`.
        """
        velocity = original_denoise_step_partial(x_t)
        if prev_chunk_left_over is None:
            return velocity
        plans = prev_chunk_left_over
        if isinstance(plans, Tensor):
            horizon = self.rtc_config.execution_horizon if execution_horizon is None else execution_horizon
            plans = _shared(
                plans, rows=len(x_t) if x_t.ndim > 2 else 1, delay=inference_delay or 0, horizon=horizon
            )
        weights = self._weights(plans, steps=x_t.shape[-2])
        x1_t = x_t - time * velocity
        # a plan's rest may hold anything: nothing of it may leak through a weight of 0
        error = torch.where(weights > 0, _fitted(plans.prefix, x_t) - x1_t, 0.0) * weights
        error = error.reshape(x_t.shape)
        guidance = self._guidance_weight(time)
        self.track(
            time=time,
            x1_t=x1_t,
            correction=error,
            err=error,
            weights=weights,
            guidance_weight=guidance,
            inference_delay=inference_delay,
            execution_horizon=execution_horizon,
        )
        return velocity - guidance * error

    def _weights(self, plans: RtcBatch, *, steps: int) -> Tensor:
        """Return how strongly each step follows its plan, (rows, steps, 1)."""
        end = torch.minimum(plans.horizons, plans.lengths).clamp(0, steps)[:, None]
        start = torch.minimum(plans.delays[:, None], end)
        step = torch.arange(steps, device=end.device)
        schedule = self.rtc_config.prefix_attention_schedule
        if schedule is RTCAttentionSchedule.ZEROS:
            return (step < start).float()[..., None]
        if schedule is RTCAttentionSchedule.ONES:
            return (step < end).float()[..., None]
        linear = (1.0 - (step - start + 1) / (end - start + 1)).clamp(0.0, 1.0)
        if schedule is RTCAttentionSchedule.EXP:
            linear = linear * torch.expm1(linear) / (math.e - 1.0)
        return linear[..., None]

    def _guidance_weight(self, time: float | Tensor) -> Tensor:
        """Return the weight of the correction at flow time 1 − τ, at most `max_guidance_weight`."""
        bound = float(self.rtc_config.max_guidance_weight)  # a tensor would split a compiled graph
        tau = 1 - torch.as_tensor(time, dtype=torch.float32)
        left = (1 - tau) ** 2
        weight = torch.nan_to_num((1 - tau) / tau, posinf=bound) * (left + tau**2) / left
        return torch.nan_to_num(weight, posinf=bound).clamp(max=bound)


def _shared(plan: Tensor, *, rows: int, delay: int, horizon: int) -> RtcBatch:
    """Return LeRobot's own form of a prefix, (steps, dim) or (rows, steps, dim), as rows of a batch."""
    plans = plan if plan.ndim == 3 else plan[None]
    sizes = torch.ones(rows, dtype=torch.int64, device=plan.device)
    return RtcBatch(plans, sizes * plans.shape[1], sizes * delay, sizes * horizon)


def _fitted(prefix: Tensor, x_t: Tensor) -> Tensor:
    """Return `prefix` cut or padded with zeros to the steps and dimensions of `x_t`, as LeRobot pads it."""
    steps, dim = x_t.shape[-2:]
    missing = (0, dim - prefix.shape[-1], 0, steps - prefix.shape[-2])
    return torch.nn.functional.pad(prefix.to(x_t.device, x_t.dtype), missing)


def install_rtc(policy: PreTrainedPolicy, *, schedule: str, max_guidance: float, prefix_horizon: int) -> bool:
    """Make `policy` take an `RtcBatch` as `prev_chunk_left_over`; return whether its family can.

    Args:
        policy: any loaded LeRobot policy; left as it is where the answer is False.
        schedule: how guidance falls off over the prefix: exp, linear, ones or zeros.
        max_guidance: bound of the guidance weight.
        prefix_horizon: where guidance ends for callers that pass LeRobot's own tensor.

    Raises:
        ConfigError: there is no such schedule, or the bound is not above 0.
    """
    choices = [choice.value.lower() for choice in RTCAttentionSchedule]
    if schedule not in choices:
        raise ConfigError("rtc_schedule", wanted=f"one of {', '.join(sorted(choices))}", got=schedule)
    if not (math.isfinite(max_guidance) and max_guidance > 0):
        raise ConfigError("rtc_max_guidance", wanted="a finite number above 0", got=repr(max_guidance))
    if policy.config.type not in RTC_FAMILIES:  # 0.6.0 cannot be asked: it has no `supports_rtc`
        return False
    config = RTCConfig(
        enabled=True,
        prefix_attention_schedule=RTCAttentionSchedule(schedule.upper()),
        max_guidance_weight=max_guidance,
        execution_horizon=prefix_horizon,
    )
    policy.config.rtc_config = config
    policy.rtc_processor = policy.model.rtc_processor = BatchedRtc(config)
    return True


def reanchor(actions: Tensor, state: Tensor, preprocessor: PolicyProcessorPipeline) -> Tensor:
    """Return plans in the robot's units, (rows, steps, dim), in the policy's own space at `state`.

    For policies whose actions are relative to the state of the request: what was planned against an older
    state means another motion now.

    Args:
        actions: planned actions in the robot's units, (rows, steps, action_dim).
        state: measured state of each row in this request, (rows, state_dim), not normalised.
        preprocessor: the policy's pipeline before inference; its relative step must be enabled.

    Raises:
        PolicyError: the pipeline has no relative step.
    """
    relative = relative_step(preprocessor)
    if relative is None:
        raise PolicyError("the policy's actions are absolute: its prefix needs no new anchor")
    normalizer = next((s for s in preprocessor.steps if isinstance(s, NormalizerProcessorStep)), None)
    return reanchor_relative_rtc_prefix(actions, state, relative, normalizer, "cpu")


def relative_step(preprocessor: PolicyProcessorPipeline) -> RelativeActionsProcessorStep | None:
    """Return the step that makes actions relative to the state, or None where they are absolute."""
    steps = (step for step in preprocessor.steps if isinstance(step, RelativeActionsProcessorStep))
    return next((step for step in steps if step.enabled), None)
