"""LeRobot's own robot clients, each in a process of its own; LeRobot is loaded once, before they fork.

A line on the standard input starts one: address, number, model, and the file for what its arm is told.
"""

import os
import signal
import sys
import threading

import lerobot_robot_vsim
from lerobot.async_inference.configs import RobotClientConfig
from lerobot.async_inference.robot_client import RobotClient

FPS = 30
ACTIONS_PER_CHUNK = 12


def main() -> None:
    tell("loaded")
    for line in sys.stdin:
        address, number, model, journal = line.split()
        pid = os.fork()
        if not pid:
            outcome = control(address, number, model, journal)
            tell(f"ended {number}: {outcome}")
            os._exit(0)
        tell(f"started {pid}")
    os.killpg(0, signal.SIGKILL)


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def control(address: str, number: str, model: str, journal: str) -> str:
    """Do what `python -m lerobot.async_inference.robot_client` does."""
    client = RobotClient(
        RobotClientConfig(
            policy_type="act",
            pretrained_name_or_path=model,
            robot=lerobot_robot_vsim.VSimConfig(journal=journal),
            actions_per_chunk=ACTIONS_PER_CHUNK,
            task=number,
            server_address=address,
            fps=FPS,
        )
    )
    if not client.start():
        return "refused"
    threading.Thread(target=client.receive_actions, daemon=True).start()
    client.control_loop(task=number)
    return "stopped"


if __name__ == "__main__":
    main()
