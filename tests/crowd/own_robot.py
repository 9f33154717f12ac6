"""A robot with a client of this package that speaks a foreign protocol; kind: the protocol.

It goes on after whatever happens to the other side: `lost` in its diary is a request without an answer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crowd.numbers import HORIZON
from crowd.robot_process import MAX_TEXT, RobotProcess, run_robot
from vagus.errors import VagusError
from vagus.gateways.foreign_address import parse_address
from vagus.gateways.foreign_server import ForeignServer
from vagus.gateways.neutral import Envelope, ForeignRequest, Operation
from vagus.gateways.profile import Profile
from vagus.gateways.profile_file import load_profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.integrations.astribot.client import AstribotClient
from vagus.integrations.astribot.options import AstribotOptions
from vagus.integrations.astribot.variants import OPENPI
from vagus.integrations.gr00t.client import Gr00tClient
from vagus.integrations.gr00t.options import Gr00tOptions
from vagus.integrations.lerobot_grpc.client import LeRobotGrpcClient
from vagus.integrations.lerobot_grpc.options import LeRobotGrpcOptions
from vagus.integrations.lerobot_zenoh.draft_client import LeRobotDraftClient
from vagus.integrations.lerobot_zenoh.draft_options import LeRobotDraftOptions
from vagus.integrations.openpi.client import OpenPiClient
from vagus.integrations.openpi.options import OpenPiOptions
from vagus.integrations.pointact.client import PointActClient
from vagus.integrations.pointact.options import PointActOptions

PROFILES = {
    "openpi": str(Path(__file__).parent / "openpi_so100.yaml"),
    "gr00t": "so100",
    "pointact": str(Path(__file__).parent / "pointact_so100.yaml"),
    "lerobot_grpc": "so100",
    "astribot": str(Path(__file__).parent / "astribot_so100.yaml"),
    "lerobot_zenoh_draft": "so101",
}
MODEL = "crowd"
TASK = "anything"
PATIENCE_S = 60.0
PAUSE_S = 0.2
"""Before it connects again."""


def client_of(protocol: str, address: str, profile: Profile) -> ForeignServer:
    if protocol == "openpi":
        return OpenPiClient(parse_address(f"openpi+ws://{address}"), OpenPiOptions(), None)
    if protocol == "gr00t":
        return Gr00tClient(parse_address(f"gr00t+tcp://{address}"), Gr00tOptions(), None)
    if protocol == "pointact":
        return PointActClient(
            parse_address(f"pointact+http://{address}"), PointActOptions(repo_id=MODEL), None
        )
    if protocol == "lerobot_zenoh_draft":
        draft_options = LeRobotDraftOptions(model_repo=MODEL, task=TASK, encoding="raw")
        return LeRobotDraftClient(parse_address(f"lerobot_draft+zenoh://{address}"), draft_options, profile)
    if protocol == "astribot":
        astribot_options = AstribotOptions(config_name=MODEL, encoding="raw")
        return AstribotClient(parse_address(f"astribot+grpc://{address}"), OPENPI, astribot_options, profile)
    options = LeRobotGrpcOptions(policy_type="act", checkpoint=MODEL, device="cpu")
    return LeRobotGrpcClient(parse_address(f"lerobot+grpc://{address}"), options, profile)


def work(robot: RobotProcess) -> None:
    profile = load_profile(PROFILES[robot.kind], robot.kind)
    mapping = WireMapping(profile)
    client = client_of(robot.kind, robot.address, profile)
    while not robot.is_over.is_set():
        robot.ask()
        state = robot.state.astype(np.float32)
        try:
            if not client.is_open:
                client.open(PATIENCE_S)
            seen = mapping.observation_to(state, robot.pictures, robot.instruction)
            asked = ForeignRequest(Operation.INFER, Envelope(robot.kind), seen)
            (reply,) = client.ask([(asked, None)], PATIENCE_S)
            told = reply.error
        except VagusError as error:
            told = str(error)
        if told is None:
            robot.got(mapping.actions_from(reply, state), rows=min(HORIZON, profile.horizon))
            continue
        robot.diary.note("lost", robot.counter, told[-MAX_TEXT:])
        client.close()
        robot.is_over.wait(PAUSE_S)
    client.close()


if __name__ == "__main__":
    run_robot(work)
