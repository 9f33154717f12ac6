"""Every setting of LeRobot's rollout is done, said to be idle, or refused; so is one that is not known."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass

import pytest

from vagus.edge.config import EdgeConfig
from vagus.errors import ConfigError
from vagus.integrations.lerobot.rollout.fields import FIELDS, Use, check_settings, edge_for


def nobody(_: str) -> bool:
    return False


def named(*settings: str) -> object:
    return lambda name: name in settings


@dataclass
class RTCConfig:
    enabled: bool = True
    prefix_attention_schedule: str = "linear"
    max_guidance_weight: float = 10.0
    execution_horizon: int = 10
    debug: bool = False


@dataclass
class RTCInferenceConfig:
    rtc: RTCConfig = field(default_factory=RTCConfig)
    queue_threshold: int = 30


@dataclass
class BaseStrategyConfig:
    pass


@dataclass
class RobotConfig:
    id: str = ""


@dataclass
class ArmConfig(RobotConfig):
    port: str = ""
    tuning: RTCConfig = field(default_factory=RTCConfig)  # the driver's business, whatever it is called


@dataclass
class RolloutConfig:
    robot: ArmConfig = field(default_factory=ArmConfig)
    strategy: object = field(default_factory=BaseStrategyConfig)
    inference: RTCInferenceConfig = field(default_factory=RTCInferenceConfig)
    fps: float = 30.0
    device: str | None = None
    use_torch_compile: bool = False


def test_what_was_not_given_is_not_spoken_of() -> None:
    assert check_settings(RolloutConfig(), nobody) == []
    assert check_settings(RolloutConfig(fps=60.0, device="cpu"), nobody) == []


def test_a_device_may_have_settings_that_nobody_here_knows() -> None:
    config = RolloutConfig(
        robot=ArmConfig(id="a", port="/dev/tty", tuning=RTCConfig(max_guidance_weight=1.0))
    )
    assert check_settings(config, nobody) == []


def test_what_has_no_effect_is_said() -> None:
    config = RolloutConfig(use_torch_compile=True)
    config.inference.rtc.debug = True
    said = check_settings(config, named("device"))  # type: ignore[arg-type]
    assert [line.split()[0] for line in said] == ["--inference.rtc.debug", "--device", "--use_torch_compile"]


@pytest.mark.parametrize("name", ["prefix_attention_schedule", "max_guidance_weight"])
def test_what_would_change_the_motion_and_is_the_servers_is_refused(name: str) -> None:
    config = RolloutConfig()
    setattr(config.inference.rtc, name, 3.0)
    with pytest.raises(ConfigError, match=f"inference.rtc.{name}.*vagus serve --rtc"):
        check_settings(config, nobody)


def test_it_is_refused_when_it_is_named_with_its_default() -> None:
    with pytest.raises(ConfigError, match="max_guidance_weight"):
        check_settings(RolloutConfig(), named("inference.rtc.max_guidance_weight"))  # type: ignore[arg-type]


def test_a_setting_of_a_newer_lerobot_is_refused_wherever_it_stands() -> None:
    newer = make_dataclass("RolloutConfig", [("interactive", bool, False)], bases=(RolloutConfig,))
    assert check_settings(newer(), nobody) == []
    with pytest.raises(ConfigError, match="interactive"):
        check_settings(newer(interactive=True), nobody)
    with pytest.raises(ConfigError, match="interactive"):
        check_settings(newer(), named("interactive"))  # type: ignore[arg-type]
    trained = make_dataclass("RTCConfig", [("mode", str, "guided")], bases=(RTCConfig,))
    with pytest.raises(ConfigError, match=r"inference\.rtc\.mode"):
        check_settings(RolloutConfig(inference=RTCInferenceConfig(trained(mode="trained"))), nobody)


def test_a_strategy_that_nobody_here_knows_is_refused() -> None:
    parade = make_dataclass("ParadeStrategyConfig", [])
    with pytest.raises(ConfigError, match="strategy"):
        check_settings(RolloutConfig(strategy=parade()), nobody)


def test_everything_that_is_refused_or_idle_says_why() -> None:
    fates = [fate for fields in FIELDS.values() for fate in fields.values()]
    assert {fate.use for fate in fates} == {Use.DONE, Use.IDLE, Use.REFUSED}
    assert all(fate.why for fate in fates if fate.use is not Use.DONE)


# -- real-time chunking ---------------------------------------------------------------------------------


def test_lerobots_defaults_leave_ours_alone() -> None:
    edge = EdgeConfig(prefix_horizon=4, buffer_time_s=0.7)
    assert edge_for(edge, RTCConfig(), 30, fps=30.0, is_named=nobody) == edge


def test_lerobots_settings_are_ours_by_other_names() -> None:
    asked = edge_for(
        EdgeConfig(), RTCConfig(enabled=False, execution_horizon=3), 15, fps=30.0, is_named=nobody
    )
    assert asked == EdgeConfig(rtc=False, prefix_horizon=3, buffer_time_s=0.5)


def test_a_default_that_is_named_counts() -> None:
    is_named = named("inference.rtc.execution_horizon", "inference.queue_threshold")
    asked = edge_for(EdgeConfig(), RTCConfig(), 30, fps=30.0, is_named=is_named)  # type: ignore[arg-type]
    assert asked == EdgeConfig(prefix_horizon=10, buffer_time_s=1.0)


@pytest.mark.parametrize(
    ("edge", "rtc", "threshold", "setting"),
    [
        (EdgeConfig(prefix_horizon=4), RTCConfig(execution_horizon=3), 30, "execution_horizon"),
        (EdgeConfig(buffer_time_s=0.4), RTCConfig(), 15, "queue_threshold"),
    ],
)
def test_two_settings_that_contradict_each_other_are_refused(
    edge: EdgeConfig, rtc: RTCConfig, threshold: int, setting: str
) -> None:
    with pytest.raises(ConfigError, match=setting):
        edge_for(edge, rtc, threshold, fps=30.0, is_named=nobody)


def test_two_settings_that_agree_are_not() -> None:
    edge = EdgeConfig(prefix_horizon=3, buffer_time_s=0.6)
    assert edge_for(edge, RTCConfig(execution_horizon=3), 18, fps=30.0, is_named=nobody) == edge


def test_chunking_that_was_named_on_one_side_and_off_on_the_other_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"inference\.rtc\.enabled"):
        edge_for(
            EdgeConfig(),
            RTCConfig(enabled=False),
            30,
            fps=30.0,
            is_named=named("policy.edge.rtc"),  # type: ignore[arg-type]
        )
