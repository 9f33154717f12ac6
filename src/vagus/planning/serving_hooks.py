"""Admission and rate control in the simulation of a fleet, as servers do it."""

from __future__ import annotations

from vagus.errors import SessionRefusedError
from vagus.planning.fleet_hooks import AdmissionAnswer, FleetHooks, RowTimes
from vagus.planning.robot_kinds import asking_after
from vagus.planning.simulated_robot import SimulatedRobot
from vagus.planning.simulated_server import ServerView
from vagus.server.admission import predict
from vagus.server.capacity import RobotDemand
from vagus.server.rate_control import RateControl, ServedRow, obeyed_ns

__all__ = ["ServingHooks", "simulated_demand"]


def simulated_demand(robot: SimulatedRobot) -> RobotDemand:
    """Return what a simulated robot asks of a server, by what it says."""
    demand = RobotDemand(
        rate_hz=robot.said_rate_hz or robot.rate_hz,
        horizon=robot.horizon,
        buffer_s=robot.buffer_s,
        round_trip_s=robot.network.round_trip_ns / 1e9,
        weight=robot.weight,
        max_action_age_s=robot.max_action_age_s,
    )
    return asking_after(demand, robot.execute_horizon)


class ServingHooks(FleetHooks):
    """Decisions of real servers.

    Args:
        max_starved_share: share of the time that a robot may starve by others before a server refuses more;
            None: servers admit everybody up to their number of sessions.
        has_rate_control: servers ask robots for pauses while they have too much to do.
    """

    def __init__(self, *, max_starved_share: float | None = 0.01, has_rate_control: bool = True) -> None:
        self.limits_rate = has_rate_control
        self._max_starved_share = max_starved_share
        self._controls: dict[str, RateControl] = {}
        self._agreed: dict[str, int] = {}

    def admit(self, robot: SimulatedRobot, server: ServerView, now_ns: int) -> AdmissionAnswer:
        """Return whether a server takes a robot, as its admission predicts the load."""
        if self._max_starved_share is None:
            return super().admit(robot, server, now_ns)
        others = [self._agreed_demand(other) for other in server.robots if other is not robot]
        if len(others) >= server.max_sessions:
            return AdmissionAnswer(is_admitted=False)
        try:
            admission = predict(
                server.profile,
                others,
                simulated_demand(robot),
                max_batch=server.max_batch,
                max_starved_share=self._max_starved_share,
                is_running=robot.name in self._agreed,
            )
        except SessionRefusedError:
            return AdmissionAnswer(is_admitted=False)
        self._agreed[robot.name] = admission.execute_horizon
        return AdmissionAnswer(execute_horizon=admission.execute_horizon)

    def min_interval_ns(self, robot: SimulatedRobot, server: ServerView, now_ns: int, times: RowTimes) -> int:
        """Return the shortest time between two requests of a robot, as the server's rate control has it."""
        control = self._controls.setdefault(server.name, RateControl())
        row = ServedRow(
            robot.name,
            robot.party,
            robot.weight,
            times.wait_ns,
            times.batch_ns,
            times.arrived_ns,
            obeyed_ns(robot.max_action_age_s),
        )
        control.note(row, now_ns)
        return control.interval_ns(robot.name)

    def is_limiting(self, server: str) -> bool:
        """Return whether a server asks for pauses now."""
        control = self._controls.get(server)
        return control is not None and control.is_limiting

    def _agreed_demand(self, robot: SimulatedRobot) -> RobotDemand:
        return simulated_demand(robot).agreed(self._agreed.get(robot.name, 0))
