"""Families of LeRobot policies: how many robots one policy object can serve, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vagus.policies.policy import ServingMode

__all__ = ["FAMILIES", "UNKNOWN", "Family", "family_of"]


@dataclass(frozen=True, slots=True)
class Family:
    """Family of policies: how its methods are called.

    Attributes:
        mode: how many robots one policy object can serve.
        reason: why; completes "<family> is served <mode>, because …".
        horizon: settings of the checkpoint that may hold the length of a chunk; the first present one does.
        noise: settings that hold steps and width of the noise of one row; None: it takes no noise.
        width: setting that holds the width of the noise where the action is padded; "": the action's own.
        has_history: it looks at the last `n_obs_steps` observations, which the session keeps.
        has_queues: it reads observations from queues of its own, filled before every inference.
        has_time_first: its chunk is (steps, rows, dim) instead of (rows, steps, dim).
        prepares_frames: method that fits frames of any size to its network, and says which of them are there;
            "": it has none, and its frames have the size of the checkpoint.
        extra: extra of LeRobot that it needs; "": none.
        compiled: module or method that is compiled once it has its weights; "": that is left to its own
            setting, if it has one (`compile_model`).
        runs_named_code: LeRobot runs Python code that lies at places that its configuration names.
    """

    mode: ServingMode
    reason: str
    horizon: tuple[str, ...] = ("chunk_size", "n_action_steps", "action_chunk_size", "horizon")
    noise: str | None = None
    width: str = ""
    has_history: bool = False
    has_queues: bool = False
    has_time_first: bool = False
    prepares_frames: str = ""
    extra: str = ""
    compiled: str = ""
    runs_named_code: bool = False

    @property
    def fits_frames(self) -> bool:
        """Whether it fits frames of any size to its network itself."""
        return bool(self.prepares_frames)


UNTESTED = "whether its chunks depend on nothing but the request has not been verified here"

FLOW = Family(
    ServingMode.SHARED,
    "a chunk depends on one observation and the noise alone, and rows of a batch do not see each other",
    horizon=("chunk_size",),
    noise="chunk_size",
    width="max_action_dim",
    prepares_frames="_preprocess_images",
    extra="pi",
    compiled="model.sample_actions",
)

FAMILIES: Mapping[str, Family] = {
    "act": Family(
        ServingMode.SHARED,
        "a chunk depends on one observation alone; queue and ensembler are outside of the chunk API",
        horizon=("chunk_size",),
        compiled="model",
    ),
    "smolvla": replace(FLOW, prepares_frames="prepare_images", extra="smolvla"),
    "pi0": FLOW,
    "pi05": FLOW,
    "diffusion": Family(
        ServingMode.SHARED,
        "its observation queues stay empty: the last observations are kept per robot and passed stacked",
        horizon=("n_action_steps",),
        noise="horizon",
        has_history=True,
        extra="diffusion",
        compiled="diffusion.unet",
    ),
    "vqbet": Family(
        ServingMode.EXCLUSIVE,
        "its chunk API reads observation queues that live in the policy object",
        horizon=("action_chunk_size",),
        has_queues=True,
    ),
    "tdmpc": Family(
        ServingMode.EXCLUSIVE,
        "it plans on from its last plan, which lives in the policy object",
        horizon=("horizon",),
        has_queues=True,
        has_time_first=True,
    ),
    "multi_task_dit": Family(
        ServingMode.EXCLUSIVE,
        "its chunk API reads observation queues that live in the policy object",
        horizon=("n_action_steps",),
        has_queues=True,
        extra="multi-task-dit",
    ),
    "pi0_fast": Family(
        ServingMode.EXCLUSIVE,
        f"it writes its chunk token by token; {UNTESTED}",
        extra="pi",
        runs_named_code=True,
    ),
    "groot": Family(
        ServingMode.EXCLUSIVE,
        "its processors keep the last raw state of one robot",
        horizon=("chunk_size",),
        extra="groot",
        runs_named_code=True,
    ),
    "molmoact2": Family(
        ServingMode.EXCLUSIVE, "its noise may be one generator per episode", extra="molmoact2"
    ),
    "lingbot_va": Family(
        ServingMode.EXCLUSIVE,
        "it keeps a cache of observations and executed actions in the policy object",
        extra="lingbot-va",
    ),
    "evo1": Family(ServingMode.EXCLUSIVE, UNTESTED, extra="evo1"),
    "xvla": Family(ServingMode.EXCLUSIVE, UNTESTED, extra="xvla"),
    "vla_jepa": Family(ServingMode.EXCLUSIVE, UNTESTED, extra="vla-jepa"),
    "eo1": Family(ServingMode.EXCLUSIVE, UNTESTED, extra="eo1"),
    "wall_x": Family(ServingMode.EXCLUSIVE, UNTESTED, extra="wallx", runs_named_code=True),
    "fastwam": Family(ServingMode.EXCLUSIVE, UNTESTED, extra="fastwam"),
    "gaussian_actor": Family(
        ServingMode.REFUSED,
        "it gives one action per observation and has no chunk of actions to send",
        extra="hilserl",
        runs_named_code=True,
    ),
}
"""LeRobot's name of the policy type → family."""

UNKNOWN = Family(
    ServingMode.EXCLUSIVE,
    "it is not known here, and a policy that is not known may keep state anywhere",
    runs_named_code=True,
)


def family_of(policy_type: str) -> Family:
    """Return what is known of `policy_type`; of an unknown one, that it must not be shared."""
    return FAMILIES.get(policy_type, UNKNOWN)
