"""Settings of LeRobot's rollout: each is obeyed, has no effect, or is refused.

A setting that is in no table and was given a value is refused: a newer LeRobot may mean by it that the robot
is to stand still.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from vagus.edge.config import EdgeConfig
from vagus.errors import ConfigError

__all__ = ["FIELDS", "Fate", "RtcSettings", "Use", "check_settings", "edge_for", "naming"]


class Use(enum.Enum):
    """Effect of a setting of LeRobot: used, replaced, or without effect."""

    DONE = "done"
    """LeRobot or vagus does what it says."""
    IDLE = "idle"
    """It has no effect, and that changes nothing about the motion: said, and gone on."""
    REFUSED = "refused"
    """It would change what the robot does, and cannot be done here."""
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, slots=True)
class Fate:
    """Effect of a setting, and the reason."""

    use: Use
    why: str = ""


DONE, UNKNOWN = Fate(Use.DONE), Fate(Use.UNKNOWN)
_NOT_HERE = Fate(Use.IDLE, "no network runs on this machine")
_NO_UPLOAD = Fate(Use.IDLE, "the policy type `vagus` holds nothing to upload")
_NO_GUIDANCE = Fate(Use.IDLE, "the guidance is computed on the server")
_FATES: Mapping[str, Fate] = {
    "RolloutConfig.device": _NOT_HERE,
    "RolloutConfig.use_torch_compile": Fate(
        Use.IDLE, "the network is on the server; `options: {compile: true}` in its manifest compiles it"
    ),
    "RolloutConfig.torch_compile_backend": _NOT_HERE,
    "RolloutConfig.torch_compile_mode": _NOT_HERE,
    "RolloutConfig.compile_warmup_inferences": Fate(Use.IDLE, "the server warms up before it is ready"),
    "RTCConfig.prefix_attention_schedule": Fate(
        Use.REFUSED, "it is the server's: `vagus serve --rtc-schedule`"
    ),
    "RTCConfig.max_guidance_weight": Fate(
        Use.REFUSED, "it is the server's: `vagus serve --rtc-max-guidance`"
    ),
    "RTCConfig.debug": _NO_GUIDANCE,
    "RTCConfig.debug_maxlen": _NO_GUIDANCE,
    "PreTrainedConfig.device": _NOT_HERE,
    "PreTrainedConfig.use_amp": _NOT_HERE,
    "PreTrainedConfig.push_to_hub": _NO_UPLOAD,
    "PreTrainedConfig.repo_id": _NO_UPLOAD,
    "PreTrainedConfig.private": _NO_UPLOAD,
    "PreTrainedConfig.license": _NO_UPLOAD,
    "PreTrainedConfig.n_obs_steps": Fate(
        Use.REFUSED, "the server holds the policy, and what it looks back at"
    ),
    "PreTrainedConfig.input_features": Fate(Use.REFUSED, "the server says what its policy wants"),
    "PreTrainedConfig.output_features": Fate(Use.REFUSED, "the server says what its policy gives"),
    "PreTrainedConfig.use_peft": Fate(Use.REFUSED, "the server holds the weights; merge the adapter there"),
    "PreTrainedConfig.pretrained_path": Fate(
        Use.REFUSED, "the server holds the weights; name its service in policy.service"
    ),
    "PreTrainedConfig.pretrained_revision": Fate(
        Use.REFUSED, "name the revision in policy.service: model/revision"
    ),
    "VagusConfig.action_feature_names": Fate(Use.REFUSED, "the server names its actions; see policy.rename"),
    "VagusConfig.rtc_config": Fate(Use.REFUSED, "use inference.rtc"),
}
"""Settings that are refused, or have no effect; all others are done."""


def _table(name: str, *fields: str) -> Mapping[str, Fate]:
    return {field: _FATES.get(f"{name}.{field}", DONE) for field in fields}


_ENCODER = ("vcodec", "pix_fmt", "g", "crf", "preset", "fast_decode", "video_backend", "extra_options")
FIELDS: Mapping[str, Mapping[str, Fate]] = {
    name: _table(name, *fields)
    for name, fields in {
        "RolloutConfig": (
            *("robot", "teleop", "policy", "strategy", "inference", "dataset"),
            *("fps", "duration", "interpolation_multiplier", "device", "task"),
            *("display_data", "display_mode", "display_ip", "display_port", "display_compressed_images"),
            *("play_sounds", "resume", "rename_map", "return_to_initial_position"),
            *("use_torch_compile", "torch_compile_backend", "torch_compile_mode"),
            "compile_warmup_inferences",
        ),
        "BaseStrategyConfig": (),
        "SentryStrategyConfig": ("upload_every_n_episodes", "target_video_file_size_mb"),
        "HighlightStrategyConfig": (
            *("ring_buffer_seconds", "ring_buffer_max_memory_mb", "save_key", "push_key"),
        ),
        "EpisodicStrategyConfig": (
            *("reset_to_initial_position", "smooth_leader_to_follower_handover", "smooth_handover"),
        ),
        "DAggerStrategyConfig": (
            *("num_episodes", "record_autonomous", "upload_every_n_episodes", "target_video_file_size_mb"),
            *("smooth_handover", "input_device", "keyboard", "pedal"),
        ),
        "DAggerKeyboardConfig": ("pause_resume", "correction", "upload"),
        "DAggerPedalConfig": ("device_path", "pause_resume", "correction", "upload"),
        "RTCInferenceConfig": ("rtc", "queue_threshold"),
        "RTCConfig": (
            *("enabled", "prefix_attention_schedule", "max_guidance_weight", "execution_horizon"),
            *("debug", "debug_maxlen"),
        ),
        "DatasetRecordConfig": (
            *("repo_id", "single_task", "root", "fps", "episode_time_s", "reset_time_s", "num_episodes"),
            *("video", "push_to_hub", "private", "tags", "num_image_writer_processes"),
            *("num_image_writer_threads_per_camera", "video_encoding_batch_size", "rgb_encoder"),
            *("depth_encoder", "streaming_encoding", "encoder_queue_maxsize", "encoder_threads", "no_stamp"),
        ),
        "RGBEncoderConfig": _ENCODER,
        "DepthEncoderConfig": (*_ENCODER, "depth_min", "depth_max", "shift", "use_log"),
        "PreTrainedConfig": (
            *("n_obs_steps", "input_features", "output_features", "device", "use_amp", "use_peft"),
            *("push_to_hub", "repo_id", "private", "tags", "license", "pretrained_path"),
            "pretrained_revision",
        ),
        "RobotConfig": ("id", "calibration_dir"),
        "TeleoperatorConfig": ("id", "calibration_dir"),
    }.items()
}
"""Class of LeRobot → its fields, in all tested releases together → their effect."""
_FREE = frozenset({"RobotConfig", "TeleoperatorConfig"})
"""Classes whose subclasses may add fields: these are between LeRobot and its driver."""
_SETTLED = frozenset({"device"})
"""Settings that LeRobot fills in itself: only the command line tells whether they were given."""

IsNamed: TypeAlias = Callable[[str], bool]


def naming(arguments: Sequence[str]) -> IsNamed:
    """Return a function that tells whether a setting stands among these arguments."""
    names = {argument.removeprefix("--").partition("=")[0] for argument in arguments}
    return names.__contains__


def check_settings(config: object, is_named: IsNamed) -> list[str]:
    """Return a sentence for each setting that was given and has no effect.

    Args:
        config: LeRobot's RolloutConfig.
        is_named: whether a dotted setting stands on the command line.

    Raises:
        ConfigError: a setting was given that cannot be done here, or that is not known.
    """
    given = list(_given(config, "", is_named))
    for path, fate in given:
        if fate.use is Use.REFUSED:
            raise ConfigError(path, wanted="nothing", got="a value", fix=fate.why)
        if fate.use is Use.UNKNOWN:
            raise ConfigError(
                path,
                wanted="a setting of the LeRobot that vagus was tested with",
                got="a value for one that is not known here",
                fix="leave it out, or use a vagus that knows it",
            )
    return [f"--{path} has no effect: {fate.why}" for path, fate in given if fate.use is Use.IDLE]


def _given(config: object, path: str, is_named: IsNamed) -> Iterator[tuple[str, Fate]]:
    """Yield each setting that differs from its default, and its effect."""
    fates, is_free = _fates_of(type(config))
    if fates is None:
        yield path.removesuffix("."), UNKNOWN
        return
    for field in dataclasses.fields(config):  # type: ignore[arg-type] # a dataclass: it has fates
        name, value = f"{path}{field.name}", getattr(config, field.name)
        fate = fates.get(field.name, DONE if is_free else UNKNOWN)
        if dataclasses.is_dataclass(value) and fate is DONE:
            yield from () if is_free and field.name not in fates else _given(value, f"{name}.", is_named)
        elif is_named(name) or (field.name not in _SETTLED and value != _default(field)):
            yield name, fate


def _fates_of(kind: type) -> tuple[Mapping[str, Fate] | None, bool]:
    """Return the effects of a class's fields, or None if it is unknown; and whether it may have others."""
    names = [of.__name__ for of in kind.__mro__]
    is_ours = kind.__module__.startswith("vagus.")
    known = [name for name in names if name in FIELDS]
    if not (known or is_ours):
        return None, False
    fates: dict[str, Fate] = {}
    for name in reversed(known):
        fates |= FIELDS[name]
    if is_ours:
        own = vars(kind).get("__annotations__", {})
        fates |= {name: _FATES.get(f"{kind.__name__}.{name}", DONE) for name in own}
    return fates, not _FREE.isdisjoint(names)


def _default(field: dataclasses.Field[object]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


# -- real-time chunking ---------------------------------------------------------------------------------


class RtcSettings(Protocol):
    """Fields of LeRobot's RTCConfig that are read."""

    @property
    def enabled(self) -> bool:
        """Whether chunks are conditioned on the running plan."""
        ...

    @property
    def execution_horizon(self) -> int:
        """End of the guidance in steps: the prefix horizon."""
        ...


EXECUTION_HORIZON = 10
QUEUE_THRESHOLD = 30
"""LeRobot's defaults; where nothing is set, those of the policy and of vagus are used."""

_TWINS = {
    "rtc": "inference.rtc.enabled",
    "prefix_horizon": "inference.rtc.execution_horizon",
    "buffer_time_s": "inference.queue_threshold",
}
"""Setting of the edge → LeRobot's setting for the same."""


def edge_for(
    edge: EdgeConfig, rtc: RtcSettings, queue_threshold: int, *, fps: float, is_named: IsNamed
) -> EdgeConfig:
    """Return `edge` with LeRobot's settings of the inference applied.

    Args:
        edge: as policy.edge says.
        rtc: as inference.rtc says.
        queue_threshold: actions left in LeRobot's queue at which it asks for more.
        fps: actions per second.
        is_named: whether a dotted setting stands on the command line.

    Raises:
        ConfigError: both were given and contradict each other.
    """
    has_horizon = rtc.execution_horizon != EXECUTION_HORIZON or is_named("inference.rtc.execution_horizon")
    has_threshold = queue_threshold != QUEUE_THRESHOLD or is_named("inference.queue_threshold")
    asked = dataclasses.replace(
        edge,
        rtc=edge.rtc and rtc.enabled,
        prefix_horizon=rtc.execution_horizon if has_horizon else edge.prefix_horizon,
        buffer_time_s=queue_threshold / fps if has_threshold else edge.buffer_time_s,
    )
    for name, setting in _TWINS.items():
        ours, theirs = getattr(edge, name), getattr(asked, name)
        is_given = is_named(f"policy.edge.{name}") or ours != getattr(EdgeConfig(), name)
        if is_given and ours != theirs:
            raise ConfigError(
                setting,
                wanted=f"nothing, or what policy.edge.{name} says ({ours})",
                got=f"{theirs}",
                fix="leave one of them out",
            )
    return asked
