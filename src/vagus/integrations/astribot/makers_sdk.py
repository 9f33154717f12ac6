"""The maker's Python SDK of an Astribot S1, as an `AstribotSdk`: all that is assumed of it, in one place.

From its published sources and examples; no robot was at hand. Where yours differs, write a class of your own.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, cast

import numpy as np

from vagus.errors import RobotError
from vagus.types import Image

__all__ = ["PLACES", "MakersClient", "MakersSdk"]

PLACES: Final = ("core.astribot_api.astribot_client", "astribot_sdk.core.astribot_api.astribot_client")
"""Where older and newer versions have the class `Astribot`."""
CAMERAS: Final = {"head_rgbd": "head", "left_wrist_rgbd": "wrist_left", "right_wrist_rgbd": "wrist_right"}
"""The maker's name of a camera → ours."""
ACTIVE_S: Final = 10.0
"""Longest wait for the cameras to be active."""
LOOK_S: Final = 0.1


class MakersClient(Protocol):
    """The part of the maker's class `Astribot` that is called."""

    def get_control_rights_status(self) -> bool:
        """Say whether this process may command the robot."""
        ...

    def get_current_joints_position(self, names: list[str]) -> Sequence[Sequence[float]]:
        """Return measured numbers, a list for each part."""
        ...

    def set_joints_position(
        self, names: list[str], position: list[list[float]], *, control_way: str, use_wbc: bool
    ) -> object:
        """Command parts; without the right to, it logs a line and returns."""
        ...

    def stop_robot(self) -> object:
        """Stop the robot; it ignores commands until it is restarted."""
        ...

    def activate_camera(self) -> object:
        """Ask for the cameras."""
        ...

    def get_cameras_info(self) -> Mapping[str, Mapping[str, object]]:
        """Return camera → what is known of it; `activate` is true once it gives frames."""
        ...

    def register_image_callback(
        self, name: str, kind: str, callback: Callable[..., None], *, need_decode: bool
    ) -> object:
        """Have a function called with every frame: topic, message, width, height, BGR array."""
        ...


class MakersSdk:
    """Drives a robot through the maker's class `Astribot`.

    Args:
        make: makes the client; default: the maker's class, imported where `PLACES` say.
    """

    def __init__(self, make: Callable[[], MakersClient] | None = None) -> None:
        self._make = make or _makers_client
        self._client: MakersClient | None = None
        self._frames: dict[str, Image] = {}
        self._stopped = threading.Event()

    def connect(self) -> None:
        """Make the client, and wait until all cameras are active.

        Raises:
            RobotError: the SDK is not installed, somebody else controls the robot, a camera does not come.
        """
        client = self._client = self._make()
        self._check_rights(client)
        client.activate_camera()
        for _ in range(round(ACTIVE_S / LOOK_S)):
            if not _inactive(client) or self._stopped.wait(LOOK_S):
                break
        if _inactive(client):
            raise RobotError(f"astribot: the cameras {', '.join(_inactive(client))} are not active")
        for name in CAMERAS:
            client.register_image_callback(name, "color", self._take_frame, need_decode=True)

    def get_current_joints_position(self, names: Sequence[str]) -> Sequence[Sequence[float]]:
        """Return the measured numbers of the parts, a list for each."""
        return self._connected().get_current_joints_position(list(names))

    def set_joints_position(
        self, names: Sequence[str], position: Sequence[Sequence[float]], *, control_way: str, use_wbc: bool
    ) -> None:
        """Command the parts.

        Raises:
            RobotError: stopped, or the control of the robot was taken away: the client would ignore it.
        """
        client = self._connected()
        if self._stopped.is_set():
            raise RobotError("astribot: a command after stop()")
        self._check_rights(client)
        client.set_joints_position(
            list(names), [list(part) for part in position], control_way=control_way, use_wbc=use_wbc
        )

    def read_images(self) -> Mapping[str, Image]:
        """Return the newest frames, RGB.

        Raises:
            RobotError: a camera has given none yet.
        """
        frames = dict(self._frames)
        missing = [name for name in CAMERAS.values() if name not in frames]
        if missing:
            raise RobotError(f"astribot: no frame yet from {', '.join(missing)}")
        return frames

    def stop(self) -> None:
        """Stop the robot; every later command is refused."""
        self._stopped.set()
        if self._client is not None:
            self._client.stop_robot()

    def close(self) -> None:
        """Stop the robot. The maker's class gives it back when the process ends."""
        self.stop()

    def _take_frame(
        self, topic: object, _message: object, _width: object, _height: object, bgr: object
    ) -> None:
        """Keep a frame (one of the client's threads): /astribot_camera/<name>/… says of which camera."""
        name = CAMERAS.get(next(iter(str(topic).split("/")[2:]), ""))
        if name is not None and isinstance(bgr, np.ndarray) and bgr.ndim == 3:
            self._frames[name] = np.ascontiguousarray(bgr[..., ::-1])

    def _connected(self) -> MakersClient:
        if self._client is None:
            raise RobotError("astribot: a call before connect()")
        return self._client

    def _check_rights(self, client: MakersClient) -> None:
        if not client.get_control_rights_status():
            raise RobotError("astribot: another program controls the robot; end it, and start again")


def _inactive(client: MakersClient) -> list[str]:
    known = client.get_cameras_info()
    return [name for name in CAMERAS if not known.get(name, {}).get("activate")]


def _makers_client() -> MakersClient:
    for place in PLACES:
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if not place.startswith(str(error.name)):
                raise  # it is there, and lacks something
            continue
        return cast("MakersClient", module.Astribot())
    raise RobotError(
        f"astribot: the maker's SDK is not on this machine: wanted a module {' or '.join(PLACES)}; add its "
        "folder to PYTHONPATH, or name your own class with --options sdk"
    )
