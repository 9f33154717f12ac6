"""Description of a run for its recording: the robot, what was agreed with the server, and every setting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TypeVar

import msgspec

from vagus import __version__
from vagus.clock import monotonic_ns
from vagus.control.mapping import OrderMapping
from vagus.edge.client.handshake import Contract
from vagus.recording.metadata import FORMAT
from vagus.recording.registry import Run
from vagus.recording.session import Json
from vagus.robots.robot import Robot
from vagus.specs import CameraSpec, DepthCameraSpec, rename_robot_spec
from vagus.transport.keys import ServiceKey
from vagus.wire.schema import SCHEMA_VERSION

__all__ = ["describe"]

_CameraT = TypeVar("_CameraT", CameraSpec, DepthCameraSpec)


def describe(run: Run, robot: Robot, mapping: OrderMapping, contract: Contract) -> dict[str, Json]:
    """Return the description of a session that begins now; `to_info` reads it.

    Args:
        run: what is run, and with which settings.
        robot: gives the spec in its own names.
        mapping: between the robot's order and the policy's.
        contract: what was agreed with the server.
    """
    spec, said = robot.spec, contract.capabilities
    renamed = rename_robot_spec(spec, run.rename)
    said_of_run: dict[str, Json] = {
        "format": FORMAT,
        "vagus": __version__,
        "began": {"utc": datetime.now(timezone.utc).isoformat(), "monotonic_ns": monotonic_ns()},
        "robot": run.robot,
        "robot_type": spec.robot_type,
        "name": run.name,
        "service": ServiceKey.of(said.model, said.revision, said.service_name).text,
        "model_hash": contract.model_hash,
        "instruction": run.task(contract),
        "tick_rate_hz": spec.rate_hz,
        "step_rate_hz": contract.step_rate_hz,
        "actions": [feature.name for feature in mapping.actions],
        "state": list(mapping.state_names),
        "tags": dict(run.tags),
        "vouched": list(run.vouched),
        "action_features": _plain(mapping.actions),
        "state_features": _plain(renamed.state),
        "cameras": _plain(_used(renamed.cameras, contract.policy.cameras)),
        "depth_cameras": _plain(_used(renamed.depth_cameras, contract.policy.depth_cameras)),
        "robot_spec": _plain(spec),
        "terms": {
            "wire_version": SCHEMA_VERSION,
            "image_codec": contract.image_codec,
            "uses_rtc": contract.uses_rtc,
            "continues_awaited": contract.uses_rtc and said.continues_awaited,
            "prefix_horizon": contract.prefix_horizon,
            "server": said.server,
            "server_version": said.vagus_version,
            "policy": _plain(contract.policy),
        },
        "settings": _settings(run),
    }
    return _encodable(said_of_run)


def _used(offered: tuple[_CameraT, ...], wanted: tuple[_CameraT, ...]) -> tuple[_CameraT, ...]:
    """Return the robot's cameras that the policy uses, in its names."""
    names = {camera.name for camera in wanted}
    return tuple(camera for camera in offered if camera.name in names)


def _settings(run: Run) -> dict[str, Json]:
    sections: Mapping[str, object] = {"rename": dict(run.rename), **run.settings}
    return {name: _plain(section) for name, section in sections.items()}


def _encodable(table: dict[str, Json]) -> dict[str, Json]:
    """Return a table in which "?" stands for what is no Unicode: an argument may hold any bytes."""
    text = json.dumps(table, ensure_ascii=False).encode("utf-8", "replace")
    found: dict[str, Json] = json.loads(text)
    return found


def _plain(value: object) -> Json:
    """Return a value as JSON has it: enums as their values, paths as texts."""
    plain: Json = msgspec.to_builtins(value, enc_hook=str)
    return plain
