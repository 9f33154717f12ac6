"""Settings of a trial as arguments: what a real process reads from them is what the trial has."""

from __future__ import annotations

import pytest

from vagus.cli.process_flags import CHAIN_MS, chaos_flags, edge_flags, manifest_of
from vagus.cli.run import RunCommand
from vagus.edge.config import DelayEstimate, EdgeConfig
from vagus.errors import ConfigError
from vagus.server.config import AdmissionChoice, ServeConfig
from vagus.server.manifest import parse_manifest
from vagus.transport.zenoh_config import ZenohConfig
from vagus.trials.delay_law import DelayLaw, read_law
from vagus.trials.play_method import METHODS


def law(text: str) -> DelayLaw:
    return read_law(text, read_trace=lambda _: [80.0])


OTHER = EdgeConfig(rtc=False, trust_units=True, delay_estimate=DelayEstimate.LAST, seed=3, buffer_time_s=0.25)
ONLY_BY_BUFFER = EdgeConfig(execute_horizon=None)
"""What the documentation spells `--execute-horizon None`."""


@pytest.mark.parametrize(
    "edge", [EdgeConfig(), OTHER, ONLY_BY_BUFFER, *(method.edge for method in METHODS.values())]
)
def test_a_robot_reads_the_settings_of_the_trial(edge: EdgeConfig) -> None:
    assert RunCommand.from_arguments(["--robot", "gates", *edge_flags(edge)]).edge == edge


def test_what_is_usual_is_not_typed() -> None:
    assert edge_flags(EdgeConfig()) == []
    assert edge_flags(ONLY_BY_BUFFER) == ["--execute-horizon", "None"]


def test_a_server_reads_the_policy_of_the_trial_and_nothing_of_another_network() -> None:
    config = ServeConfig(
        policy="gates",
        options={"continuation": "guided"},
        rtc_max_guidance=3.0,
        health_port=8080,
        zenoh=ZenohConfig(connect=("tcp/elsewhere:1",)),
    )
    read = parse_manifest(manifest_of(config, {"rtc_schedule": "zeros"}, {"continuation": "given"}), ".json")
    assert (read.policy, read.rtc_schedule, read.rtc_max_guidance) == ("gates", "zeros", 3.0)
    assert read.options == {"continuation": "given"}
    assert (read.health_port, read.zenoh) == (0, ZenohConfig())
    assert (read.admission, read.rate_control) == (AdmissionChoice.OFF, False)


@pytest.mark.parametrize(
    ("text", "middle_ms"), [("0", 25), ("50", 25), ("51", 75), ("100", 75), ("200", 175), ("310", 325)]
)
def test_a_real_delay_aims_at_the_middle_of_the_step_in_which_the_law_ends(
    text: str, middle_ms: float
) -> None:
    flag, each_way = chaos_flags(law(text), 50.0)
    assert flag == "--delay-ms"
    assert 2 * float(each_way) + CHAIN_MS == pytest.approx(middle_ms)


def test_steps_that_are_shorter_than_the_rest_of_the_way_get_no_more_delay() -> None:
    assert chaos_flags(law("0"), 4.0) == ["--delay-ms", "0"]


def test_a_rare_delay_comes_on_one_way_or_both_as_often_as_the_law_says() -> None:
    *usual, _, rare_ms, _, share = chaos_flags(law("mixed:200:500:0.1"), 50.0)
    assert usual == chaos_flags(law("200"), 50.0)
    assert float(rare_ms) == 300
    assert 1 - (1 - float(share)) ** 2 == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize("text", ["lognormal:100:0.5", "outages:100:0.05:0.7", "trace:x"])
def test_a_law_that_chaos_does_not_know_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="with --processes, MS or mixed"):
        chaos_flags(law(text), 50.0)


def test_a_rare_delay_that_is_not_longer_is_refused() -> None:
    with pytest.raises(ConfigError, match="a rare delay that ends at a later step"):
        chaos_flags(law("mixed:200:180:0.1"), 50.0)
