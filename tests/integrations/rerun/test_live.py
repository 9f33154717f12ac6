"""A run is shown while it lasts, and a viewer that is slow, gone or was never there costs it nothing."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from recording.rig import STATE, command, contract, draft, image, settled
from rerun_contents import RerunContents
from vagus.control.mapping import OrderMapping
from vagus.integrations.rerun.live import MAX_CHUNKS, MAX_FRAMES, MAX_STEPS, LiveView, opening_of
from vagus.integrations.rerun.live_messages import (
    LiveChunk,
    LiveFrame,
    LiveJoint,
    LiveOpening,
    LiveSteps,
    read_live,
    write_live,
)
from vagus.integrations.rerun.live_process import ViewerProcess
from vagus.recording.registry import Run
from vagus.specs import (
    ActionFeature,
    CameraSpec,
    DepthCameraSpec,
    Limits,
    PolicySpec,
    RobotSpec,
    StateFeature,
)
from vagus.types import Command, LinkState, MotionState, Provenance

PATIENCE_S = 30.0
PREDICTED = settled().proposal.chunk.robot[:, 1].tolist()
NEVER_READS = (sys.executable, "-c", "import time; time.sleep(600)")
DIES = (sys.executable, "-c", "import sys; sys.exit('the screen is gone')")


def opening(target: str = "") -> LiveOpening:
    return LiveOpening(
        target=target,
        title="arm driven by reach",
        about="- robot: arm",
        began_ns=1_800_000_000_000_000_000,
        zero_ns=0,
        step_rate_hz=10.0,
        joints=(LiveJoint("a", 0, -1.0, 1.0), LiveJoint("b", -1)),
        state=("a", "force"),
        cameras=("front",),
        depth_cameras={"depth": 500.0},
    )


def hold(now_episode: int) -> Command:
    where = Provenance(None, None, now_episode, None, None, None, LinkState.DEGRADED, MotionState.FALLBACK)
    return Command(None, where)


@pytest.fixture
def nobody_is_left() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "vagus-view-end":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def test_messages_arrive_as_they_were_sent() -> None:
    sent = [
        opening(),
        LiveSteps([1], [0], [None], [None], ["streaming"], ["waiting"], [[]], [[]], [[0.5, 1.0]]),
        LiveChunk(3, 2, 1, 7, 0, 4, "merged", [[1.0, 2.0]]),
        LiveFrame("front", 5, 1, 1, False, b"abc"),
    ]
    pipe = io.BytesIO()
    for message in sent:
        write_live(pipe, message)  # type: ignore[arg-type] # mypy sees their common base
    pipe.seek(0)
    assert [read_live(pipe) for _ in sent] == sent
    assert read_live(pipe) is None


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> RerunContents:
    """Return what a viewer was shown of a short run."""
    pytest.importorskip("rerun")
    pytest.importorskip("rerun.chunk", reason="this version of Rerun reads no files")
    file = tmp_path_factory.mktemp("live") / "live.rrd"
    view = LiveView(ViewerProcess())
    view.start(opening(str(file)))
    for tick in range(30):
        view.record_step(tick * 100_000_000, command(tick), STATE)
    view.record_step(3_000_000_000, hold(2), STATE)
    view.record_chunk(200_000_000, settled())
    view.record_chunk(300_000_000, settled(4, "stale_chunk"))
    view.record_images(draft(1), {"front": image()}, {"depth": np.full((4, 6), 900, np.uint16)})
    view.close()
    for thread in threading.enumerate():
        if thread.name == "vagus-view-end":
            thread.join(PATIENCE_S)
    assert view.counters == {"view_steps": 31, "view_chunks": 2, "view_frames": 2}
    return RerunContents(file)


def test_a_run_is_shown_with_its_curves_and_chunks(contents: RerunContents) -> None:
    assert contents.numbers("/joints/a/commanded") == [0.25] * 30
    assert contents.numbers("/joints/a/measured") == [0.5] * 31
    assert set(contents.numbers("/joints/a/upper")) == {1.0}
    assert not contents.numbers("/joints/b/measured")
    assert contents.numbers("/joints/b/chunks/00") == pytest.approx(PREDICTED)
    refused = settled(4).proposal.chunk.robot[:, 1].tolist()
    assert contents.numbers("/joints/b/refused/00") == pytest.approx(refused)
    assert contents.times_s("/joints/b/chunks/00")[:3] == pytest.approx([0.1, 0.2, 0.3], abs=1e-5)


def test_a_run_is_shown_with_its_states_and_what_happened(contents: RerunContents) -> None:
    assert contents.column("/states/motion", "StateChange:state") == [["playing"], ["fallback"]]
    jerk = contents.column("/states/limit_jerk", "StateChange:state")
    assert [jerk[0], jerk[-1] or None] == [["jerk"], None]
    said = [row[0] for row in contents.column("/events/chunks", "TextLog:text") if row]
    assert said == [
        "request 3: merged, 3 actions from step 20",
        "request 4: stale_chunk, 3 actions from step 20",
    ]
    assert contents.column("/events/episodes", "TextLog:text") == [
        ["episode 1 begins"],
        ["episode 2 begins"],
    ]


def test_a_run_is_shown_on_three_timelines_with_its_frames(contents: RerunContents) -> None:
    assert contents.times["/joints/a/measured"]["policy_step"] == [*range(30), 29]
    assert contents.times["/age_ms/action"]["wall_clock"][0] == 1_800_000_000_000_000_000
    assert len(contents.column("/scene/front", "EncodedImage:blob")) == 1
    assert contents.column("/scene/depth", "DepthImage:meter") == [[500.0]]


@pytest.mark.usefixtures("nobody_is_left")
def test_what_a_viewer_is_too_slow_for_is_skipped_and_counted_and_keeps_nobody_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    view = LiveView(ViewerProcess(NEVER_READS))
    view.start(opening())
    sight = {"front": np.zeros((1000, 1000, 3), np.uint8)}
    while not view.counters["view_frames_skipped"]:  # a pipe takes less than one of them
        view.record_images(draft(1), sight, {})
    for tick in range(3 * MAX_STEPS):
        view.record_step(tick, command(tick), STATE)
    for _ in range(2 * MAX_CHUNKS):
        view.record_chunk(1, settled())
    assert view.counters["view_steps_skipped"] >= MAX_STEPS
    assert view.counters["view_chunks_skipped"] >= MAX_CHUNKS - 1
    with caplog.at_level(logging.WARNING):
        view.close()
        view.close()
    assert sum(view.counters[f"view_steps{end}"] for end in ("", "_skipped")) == 3 * MAX_STEPS
    assert sum(view.counters[f"view_chunks{end}"] for end in ("", "_skipped")) == 2 * MAX_CHUNKS
    assert view.counters["view_frames_skipped"] >= MAX_FRAMES
    assert "the viewer has missed some of the run" in caplog.text


@pytest.mark.usefixtures("nobody_is_left")
def test_a_viewer_that_ends_is_told_once_with_its_last_words(caplog: pytest.LogCaptureFixture) -> None:
    view = LiveView(ViewerProcess(DIES))
    with caplog.at_level(logging.WARNING):
        view.start(opening())
        while not caplog.records:
            view.record_step(1, command(1), STATE)
        view.record_step(1, command(1), STATE)
        view.record_chunk(1, settled())
        view.close()
    told = [record.getMessage() for record in caplog.records]
    assert "the viewer is gone" in told[0]
    assert "the screen is gone" in told[0]
    assert len(told) == 2
    assert view.counters["view_chunks_skipped"] == 1


def test_the_opening_says_what_measures_a_joint_its_bounds_and_the_cameras() -> None:
    bounded = Limits(lower=-1.0, upper=2.0, velocity=1.0)
    robot = RobotSpec(
        "arm",
        (
            ActionFeature("b", "rad", limits=bounded),
            ActionFeature("a", "rad", limits=bounded, feedback="angle"),
        ),
        (StateFeature("angle", "rad"), StateFeature("b", "rad")),
        (CameraSpec("front", 4, 4),),
        50.0,
        depth_cameras=(DepthCameraSpec("depth", 4, 4, units_per_m=500.0),),
    )
    policy = PolicySpec(
        "reach",
        (ActionFeature("a", "rad"), ActionFeature("b", "rad")),
        (StateFeature("b", "rad"),),
        (CameraSpec("front", 4, 4),),
        3,
        2,
        10.0,
        depth_cameras=(DepthCameraSpec("depth", 4, 4, units_per_m=500.0),),
    )
    said = opening_of("x.rrd", Run("sim", "arm", "", {}), OrderMapping(robot, policy), contract(policy))
    assert said.joints == (LiveJoint("a", 0, -1.0, 2.0), LiveJoint("b", 1, -1.0, 2.0))
    assert (said.state, said.cameras, said.depth_cameras) == (("angle", "b"), ("front",), {"depth": 500.0})
    assert "reach the ball" in said.about
    assert (said.target, said.step_rate_hz) == ("x.rrd", 10.0)
