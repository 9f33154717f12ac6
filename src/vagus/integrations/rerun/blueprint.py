"""Layout of the Rerun viewer for a recording: frames beside states, ages and joints."""

from __future__ import annotations

from collections.abc import Sequence

import rerun.blueprint as rrb

from vagus.integrations.rerun.entities import (
    ABOUT,
    CLOUD,
    EVENTS,
    SCENE,
    SESSION_TIME,
    STATES,
    camera_path,
    joint_path,
)

__all__ = ["blueprint_for"]

PER_TAB = 6
"""Joints under each other; more are in further tabs."""
LEFT, RIGHT = 1.0, 2.2
LANE_SHARE, AGE_SHARE, JOINT_SHARE = 0.75, 1.3, 1.5
"""Heights of a lane of states, of the ages, and of a joint."""


def blueprint_for(
    joints: Sequence[str],
    cameras: Sequence[str],
    *,
    lanes: int,
    in_space: str | None = None,
    has_cloud: bool = False,
) -> rrb.Blueprint:
    """Return the layout.

    Args:
        joints: names of the joints, in their order.
        cameras: names of the cameras.
        lanes: number of lanes of states.
        in_space: depth camera whose frames are shown as points in space, too.
        has_cloud: there are points.
    """
    texts = rrb.Tabs(
        rrb.TextDocumentView(origin=ABOUT, name="about"), rrb.TextLogView(origin=EVENTS, name="events")
    )
    seen: list[rrb.Container | rrb.View] = [
        rrb.Spatial2DView(origin=camera_path(camera), name=camera) for camera in cameras
    ]
    if in_space is not None:
        contents = [f"/{camera_path(in_space).lstrip('/')}"]
        seen.insert(0, rrb.Spatial3DView(origin=SCENE, contents=contents, name=f"{in_space} in space"))
    if has_cloud:
        seen.insert(0, rrb.Spatial3DView(origin=CLOUD, name="points"))
    left = rrb.Vertical(*seen, texts)
    right = rrb.Vertical(
        rrb.StateTimelineView(origin=STATES, name="states"),
        rrb.TimeSeriesView(origin="age_ms", name="age of the action, latency of a chunk (ms)"),
        _joints(joints),
        row_shares=[LANE_SHARE * (1 + lanes), AGE_SHARE, JOINT_SHARE * min(max(len(joints), 1), PER_TAB)],
    )
    return rrb.Blueprint(
        rrb.Horizontal(left, right, column_shares=[LEFT, RIGHT]),
        rrb.TimePanel(timeline=SESSION_TIME, state="collapsed"),
        rrb.SelectionPanel(state="collapsed"),
        rrb.BlueprintPanel(state="collapsed"),
        auto_views=False,
    )


def _joints(joints: Sequence[str]) -> rrb.Container:
    groups = [joints[begin : begin + PER_TAB] for begin in range(0, max(len(joints), 1), PER_TAB)]
    columns = [_column(group) for group in groups]
    return columns[0] if len(columns) == 1 else rrb.Tabs(*columns)


def _column(joints: Sequence[str]) -> rrb.Vertical:
    name = " … ".join(dict.fromkeys((*joints[:1], *joints[-1:])))
    return rrb.Vertical(*(_joint(one) for one in joints), name=name)


def _joint(name: str) -> rrb.TimeSeriesView:
    """Return the view of a joint, without its bounds: far ones would leave its motion little height."""
    return rrb.TimeSeriesView(
        origin=joint_path(name),
        contents=["$origin/**", "- $origin/lower", "- $origin/upper"],
        name=name,
        plot_legend=rrb.PlotLegend(visible=False),
    )
