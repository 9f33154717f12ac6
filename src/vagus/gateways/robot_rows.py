"""Robots of one client: one for each row of its batches, with a session of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vagus.errors import SessionRefusedError, VagusError
from vagus.gateways.gateway import PEERS_FULL, Gateway
from vagus.gateways.model_choice import ANY_MODEL, check_model, listed_model
from vagus.gateways.neutral import ForeignRequest
from vagus.gateways.peer import Peer, PeerReply
from vagus.gateways.resting_robots import RestingRobots
from vagus.threads import ThreadPool

__all__ = ["RobotRows"]

PATIENCE_S: Final = 0.25
"""Longest wait for a place, in seconds, at a gateway whose clients may connect anew for each request."""
NAME_ANOTHER: Final = "name one of these, or add yours to the gateway's models"


class RobotRows:
    """The robots of one client, in the order of its rows. Used by one thread.

    Args:
        gateway: admits them.
        address: where the client is, for logs and audits.
        resting: robots whose client may come back; None: a client that has gone is gone.
    """

    def __init__(self, gateway: Gateway, address: str, resting: RestingRobots | None = None) -> None:
        self.address = address
        self._gateway = gateway
        self._resting = resting
        self._robots: list[Peer] = []
        self._models: list[str] = []
        self._threads: ThreadPool | None = None

    def __len__(self) -> int:
        return len(self._robots)

    def admit(self, models: Sequence[str]) -> None:
        """Have a robot for each of `models`, as the client names them: all of them, or those of before.

        A row that names another model than before gets another robot.

        Raises:
            SessionRefusedError: the gateway has no more places, or an unnamed model is not served.
            SpecError: a model is not in the operator's table, or is not the one that is served.
            LinkError: no server says which model it serves.
        """
        same = 0
        while same < min(len(models), len(self._models)) and models[same] == self._models[same]:
            same += 1
        self._keep(same)
        try:
            for model in models[same:]:
                self._robots.append(self._admitted(model))
                self._models.append(model)
        except VagusError:
            self._keep(same)
            raise

    def infer(self, rows: Sequence[ForeignRequest]) -> list[PeerReply]:
        """Return the answer to each row, of its robot; all are asked at once.

        Raises as `Peer.infer`, if one row fails.
        """
        if len(rows) == 1:
            return [self._robots[0].infer(rows[0])]
        if self._threads is None:
            self._threads = ThreadPool(self._gateway.config.max_peers, "gateway-row")
        pairs = zip(self._robots, rows, strict=True)
        return self._threads.map(lambda pair: pair[0].infer(pair[1]), pairs)

    def reset(self) -> None:
        """Begin a new episode of each robot."""
        for robot in self._robots:
            robot.reset()

    def rest(self) -> None:
        """Leave the robots for the client's next connection; this object has none afterwards."""
        if self._resting is not None:
            for robot, model in zip(self._robots, self._models, strict=True):
                self._resting.put(robot, self.address, model)
            self._robots, self._models = [], []

    def close(self) -> None:
        """Give back every place at the gateway; robots can be admitted again."""
        self._keep(0)
        if self._threads is not None:
            self._threads.close()
            self._threads = None

    def _admitted(self, named: str) -> Peer:
        """Return the robot that comes back, or else a new one, for a model as the client names it."""
        robot = None if self._resting is None else self._resting.take(self.address, named)
        if robot is not None:
            return robot
        models = self._gateway.config.models
        model = listed_model(named, models, how=NAME_ANOTHER) if named or ANY_MODEL in models else ""
        robot = self._placed(model)
        try:
            if named and not model:
                check_model(named, robot.open().capabilities, how=NAME_ANOTHER)
        except BaseException:
            robot.close()
            raise
        return robot

    def _placed(self, model: str) -> Peer:
        """Return a new robot; one that rests gives its place to it, if there is no other."""
        try:
            return self._gateway.admit(self.address, model=model)
        except SessionRefusedError as error:
            is_full = error.code == PEERS_FULL
            if not is_full or self._resting is None or not self._resting.close_oldest(PATIENCE_S):
                raise
        return self._gateway.admit(self.address, model=model)

    def _keep(self, count: int) -> None:
        """Close all robots but the first `count`."""
        del self._models[count:]
        while len(self._robots) > count:
            self._robots.pop().close()
