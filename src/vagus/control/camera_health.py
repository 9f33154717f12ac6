"""Health of the cameras: messages while they fail, and the failure that ends a run."""

from __future__ import annotations

from vagus.clock import NS_PER_S
from vagus.control.alarms import Alarm
from vagus.errors import FrameError, RobotError
from vagus.quoting import quoted
from vagus.types import LinkState

__all__ = ["CameraHealth"]

HANGING_NS = 2 * NS_PER_S
"""A camera read that takes longer than this is reported."""

MOST_ALARMS = 16
"""Most kinds of fault that are reported one by one; a driver may use a new text each time."""


class CameraHealth:
    """Health of a robot's cameras. One thread reads them; any thread may use `refusal` and `trouble`.

    Attributes:
        errors: looks that gave no frames.
        refusal: why there is nothing to hope for: the very first frames were not what the spec says.
    """

    def __init__(self) -> None:
        self._alarms: dict[str, Alarm] = {}
        self._has_seen = False
        self._failing: tuple[int, str] | None = None
        self._looking_ns: int | None = None
        self.errors = 0
        self.refusal = ""

    def begin(self, now_ns: int) -> None:
        """Note that a camera read begins."""
        self._looking_ns = now_ns

    def seen(self) -> str:
        """Note that the read gave all frames; return the text to report (the cameras are back), or ""."""
        self._looking_ns, self._failing, self._has_seen = None, None, True
        was_said, self._alarms = bool(self._alarms), {}
        return "the cameras are back" if was_said else ""

    def failed(self, error: BaseException, now_ns: int) -> str:
        """Note that the read failed; return the text to report, or ""."""
        self.errors += 1
        self._looking_ns = None
        said = str(error) if isinstance(error, RobotError) else f"{type(error).__name__}: {quoted(error)}"
        if isinstance(error, FrameError) and not self._has_seen:
            self.refusal = self.refusal or said
        self._failing = (now_ns if self._failing is None else self._failing[0], said)
        about, _, _ = said.partition(":")  # the camera, where it is one of ours who speaks
        if about not in self._alarms and len(self._alarms) >= MOST_ALARMS:
            about = ""
        alarm = self._alarms.setdefault(about, Alarm())
        return alarm.wrong(f"no images for this request: {said}", now_ns)

    def trouble(self, now_ns: int) -> str:
        """Return why there are no frames, and for how long; "" while there are."""
        failing, looking_ns = self._failing, self._looking_ns  # replaced whole by the other thread
        if failing is not None:
            return f"no frames for {(now_ns - failing[0]) / NS_PER_S:.1f} s: {failing[1]}"
        if looking_ns is not None and now_ns - looking_ns > HANGING_NS:
            return f"read_images has not returned for {(now_ns - looking_ns) / NS_PER_S:.1f} s"
        return ""

    def blamed(self, link: LinkState, now_ns: int) -> str:
        """Return `trouble` if the cameras, and not the link, left the robot without a plan; else ""."""
        return self.trouble(now_ns) if link in (LinkState.STREAMING, LinkState.DEGRADED) else ""

    def hangs(self, now_ns: int) -> bool:
        """Whether a camera read takes so long that another thread must report it."""
        looking_ns = self._looking_ns
        return looking_ns is not None and now_ns - looking_ns > HANGING_NS
