"""A robot of your own with two cameras, in the control loop of the library.

    python robot_with_cameras.py tcp/ROUTER:7447

The loop reads the state at every tick, and the cameras on another thread when a request is due: a slow camera
does not hold the robot up.
"""

import sys

import numpy as np

import vagus

JOINTS = [f"joint_{i}" for i in range(1, 7)]
LIMITS = vagus.Limits(lower=-2.5, upper=2.5, velocity=1.5, acceleration=8.0)


class Camera:
    """Stands for yours (cv2.VideoCapture, pyrealsense2 …): a grey picture with noise, as a real one has."""

    def __init__(self, height: int, width: int) -> None:
        """Open it."""
        self.shape = (height, width, 3)
        self.random = np.random.default_rng()

    def read(self) -> np.ndarray:
        """Return the newest frame, (height, width, 3), uint8, RGB; OpenCV's are BGR: frame[..., ::-1]."""
        return self.random.integers(100, 156, self.shape, dtype=np.uint8)


class MyArm:
    """What the loop wants of a robot: a spec, and six methods."""

    spec = vagus.RobotSpec(
        robot_type="my_arm",
        actions=tuple(vagus.ActionFeature(name, "rad", limits=LIMITS) for name in JOINTS),
        state=tuple(vagus.StateFeature(name, "rad") for name in JOINTS),
        cameras=(vagus.CameraSpec("front", 96, 128), vagus.CameraSpec("wrist", 48, 64)),
        rate_hz=50,
    )

    def __init__(self) -> None:
        """Touch no hardware yet: a policy that does not fit is refused before `connect`."""
        self.joints = np.zeros(len(JOINTS), np.float32)
        self.cameras: dict[str, Camera] = {}

    def connect(self) -> None:
        """Open motors and cameras; nothing moves."""
        self.cameras = {camera.name: Camera(camera.height, camera.width) for camera in self.spec.cameras}

    def read_state(self) -> np.ndarray:
        """Return the measured joints, rad, float32."""
        return self.joints

    def read_images(self) -> dict[str, np.ndarray]:
        """Return the newest frame of each camera; called on the camera thread."""
        return {name: camera.read() for name, camera in self.cameras.items()}

    def command(self, action: np.ndarray) -> None:
        """Send a setpoint, rad, float64, within the limits."""
        self.joints = action.astype(np.float32)

    def stop(self) -> None:
        """Bring the arm to a stand; it may be called twice, and from another thread."""

    def close(self) -> None:
        """Release motors and cameras."""
        self.cameras = {}


if __name__ == "__main__":
    summary = vagus.run(
        MyArm(), sys.argv[1], instruction="pick up the cube", loop=vagus.LoopConfig(duration_s=3)
    )
    print(
        summary.reason.value,
        summary.plan_actions,
        "actions of the plan,",
        summary.camera_errors,
        "bad frames",
    )
