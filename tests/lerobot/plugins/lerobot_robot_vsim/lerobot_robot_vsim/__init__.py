"""A simulated six-joint follower arm for LeRobot."""

from lerobot_robot_vsim.config_vsim import VSimCameraConfig, VSimConfig
from lerobot_robot_vsim.vsim import JOINTS, VSim, VSimCamera

__all__ = ["JOINTS", "VSim", "VSimCamera", "VSimCameraConfig", "VSimConfig"]
