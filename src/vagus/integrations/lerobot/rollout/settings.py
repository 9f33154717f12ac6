"""Settings of a rollout, LeRobot's and ours, brought together before anything is connected."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from lerobot.rollout.configs import RolloutConfig

from vagus.errors import ConfigError
from vagus.integrations.lerobot.rollout.engine import VagusInferenceConfig
from vagus.integrations.lerobot.rollout.fields import check_settings, edge_for, naming
from vagus.integrations.lerobot.rollout.names import policy_names
from vagus.integrations.lerobot.rollout.remote_policy import VagusConfig

__all__ = ["label", "settle"]

logger = logging.getLogger(__name__)


def settle(cfg: RolloutConfig, arguments: Sequence[str]) -> tuple[VagusConfig, VagusInferenceConfig]:
    """Return our settings, checked, with LeRobot's settings applied.

    Raises:
        ConfigError: a setting that cannot be done, or is not known, was given a value.
    """
    policy, inference = cfg.policy, cfg.inference
    if not (isinstance(policy, VagusConfig) and isinstance(inference, VagusInferenceConfig)):
        raise ConfigError(
            "policy.type and inference.type",
            wanted="vagus, both",
            got=f"{policy.type} and {inference.type}",
            fix="`lerobot-rollout` runs a policy on this machine",
        )
    policy.check_release()
    is_named = naming(arguments)
    for line in check_settings(cfg, is_named):
        logger.warning("%s", line)
    cfg.use_torch_compile = False
    policy.edge = edge_for(
        policy.edge, inference.rtc, inference.queue_threshold, fps=cfg.fps, is_named=is_named
    )
    policy.rename = {**policy_names(cfg.rename_map), **policy.rename}
    policy.is_engine_ours = True
    _check_task(cfg)
    return policy, inference


def _check_task(cfg: RolloutConfig) -> None:
    """Refuse a task for the policy that differs from the task that is recorded."""
    if cfg.dataset is None:
        return
    if cfg.task and cfg.dataset.single_task and cfg.task != cfg.dataset.single_task:
        raise ConfigError(
            "task",
            wanted=f"what is recorded, dataset.single_task: {cfg.dataset.single_task!r}",
            got=repr(cfg.task),
            fix="give one of them",
        )
    rate_hz = cfg.fps * cfg.interpolation_multiplier
    if cfg.dataset.fps != rate_hz:
        logger.warning(
            "--dataset.fps=%g, but %g frames per second are recorded; their times will be wrong",
            cfg.dataset.fps,
            rate_hz,
        )


def label(cfg: RolloutConfig, default: str = "") -> str:
    """Return the task for the policy; the frames of a dataset get the same."""
    task = (cfg.dataset.single_task if cfg.dataset is not None else "") or cfg.task or default
    cfg.task = str(task)
    if cfg.dataset is not None:
        cfg.dataset.single_task = cfg.task
    return str(task)
