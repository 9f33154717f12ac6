"""Settings of the simulated arm and its cameras."""

from dataclasses import dataclass, field

from lerobot.cameras.configs import CameraConfig
from lerobot.robots.config import RobotConfig


@CameraConfig.register_subclass("vsim")
@dataclass(kw_only=True)
class VSimCameraConfig(CameraConfig):
    """A camera that looks at the arm."""

    hangs_after: int | None = None
    """Frames after which it gives no more, as an unplugged camera does."""
    use_depth: bool = False
    """It also measures depth, in millimetres."""


def default_cameras() -> dict[str, CameraConfig]:
    """Return one camera in front of the arm."""
    return {"front": VSimCameraConfig(fps=30, width=64, height=48)}


@RobotConfig.register_subclass("vsim")
@dataclass(kw_only=True)
class VSimConfig(RobotConfig):
    """The arm."""

    use_degrees: bool = True
    has_base: bool = False
    """It also drives, by x.vel and theta.vel."""
    is_calibrated: bool = True
    hangs_after: int | None = None
    """Readings after which one does not return for some seconds."""
    fails_after: int | None = None
    """Readings after which its bus fails."""
    freezes_after: int | None = None
    """Readings after which it repeats the last one, as a driver does whose robot is gone."""
    lost_after: int | None = None
    """Readings after which the first joint does not know where it is."""
    journal: str = ""
    """File to which connect, actions and disconnect are written, a line each."""
    cameras: dict[str, CameraConfig] = field(default_factory=default_cameras)
