"""A control loop of your own with a served policy in it.

    python own_loop.py tcp/ROUTER:7447

Yours is the loop: it reads the robot, sends what `tick` gives, and keeps the rate. Limits, fallbacks and the
stop on every way out come from vagus.
"""

import sys
import time

import numpy as np

import vagus

JOINTS = [f"joint_{i}" for i in range(1, 7)]
LIMITS = vagus.Limits(lower=-2.5, upper=2.5, velocity=1.5, acceleration=8.0)
SPEC = vagus.RobotSpec(
    robot_type="my_arm",
    actions=tuple(vagus.ActionFeature(name, "rad", limits=LIMITS) for name in JOINTS),
    state=tuple(vagus.StateFeature(name, "rad") for name in JOINTS),
    cameras=(),
    rate_hz=50,
)


class Arm:
    """Stands for your driver: it is where it was sent."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.joints = np.zeros(len(JOINTS), np.float32)
        self.is_stopped = False

    def move_to(self, joints: np.ndarray) -> None:
        """Take a setpoint, in rad."""
        self.joints = joints.astype(np.float32)

    def stop(self) -> None:
        """Stand still; called at every end, perhaps twice and from another thread."""
        self.is_stopped = True


def main() -> None:
    """Drive for five seconds, with a pause in which a human has the arm."""
    arm = Arm()
    with vagus.connect(SPEC, sys.argv[1], stop=arm.stop, name="own loop") as brain:
        next_s = time.monotonic()
        for tick in range(250):
            if tick == 100:
                brain.pause()
            if tick == 150:
                brain.resume()
            action = brain.tick(arm.joints)
            if action is not None:  # None: command nothing in this tick
                arm.move_to(action)
            next_s += 1 / SPEC.rate_hz
            time.sleep(max(0.0, next_s - time.monotonic()))
        print("actions of the plan:", brain.summary().plan_actions)
    print("stopped:", arm.is_stopped)


if __name__ == "__main__":
    main()
