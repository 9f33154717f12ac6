"""Admission at session open: what the open sessions need of the device, and the terms for one more."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from vagus.clock import NS_PER_S
from vagus.errors import SessionRefusedError
from vagus.server.admission import Admitted, demand_of, predict
from vagus.server.batch_profile import BatchProfile
from vagus.server.capacity import RobotDemand, demand_share
from vagus.server.config import AdmissionChoice, ServeConfig
from vagus.server.sessions import Session
from vagus.server.validate import Terms
from vagus.wire.schema import Capabilities, OpenMessage

__all__ = ["SessionAdmission", "device_demand"]

logger = logging.getLogger(__name__)

QUIET_NS = 30 * NS_PER_S
"""Time without a message after which a robot counts as one that asks for nothing: it is paused or idle."""

REMEMBERED_NS = NS_PER_S
"""Time for which the answer to a running robot holds for equal ones: those that lose a server together come
at once, and none of them is refused."""
MAX_REMEMBERED = 64


class SessionAdmission:
    """Terms of the sessions, by the load that they will be. Used by the thread that opens them.

    Args:
        config: settings of the server.
    """

    def __init__(self, config: ServeConfig) -> None:
        self._predicts = config.admission is AdmissionChoice.PREDICT
        self._max_starved_share = config.slo_starved_share
        self._remembered: dict[RobotDemand, tuple[int, Admitted]] = {}

    def admitted(
        self,
        request: OpenMessage,
        terms: Terms,
        *,
        others: Iterable[Session],
        served: Capabilities,
        max_batch: int,
        now_ns: int,
    ) -> Terms:
        """Return the terms with what the admission adds to them.

        Without measured inference times nothing can be predicted, and a policy for one robot has no others.

        Args:
            request: the robot's.
            terms: what was agreed on so far.
            others: the open sessions, without one of this robot.
            served: what the server offers, with its inference times.
            max_batch: largest batch.
            now_ns: time.

        Raises:
            SessionRefusedError: the device cannot bear one more robot.
        """
        if not self._predicts or not served.latency or served.serving_mode == "exclusive":
            return terms
        asking, is_running = demand_of(request, served), request.model_hash is not None
        admission = self._known(asking, now_ns) if is_running else None
        if admission is None:
            robots = [s for s in others if now_ns - s.heard_ns < QUIET_NS]
            admission = self._predict(robots, asking, served, max_batch=max_batch, is_running=is_running)
        if admission is None:
            return terms
        if is_running:
            self._remember(asking, admission, now_ns)
        warnings = (admission.warning, *terms.warnings) if admission.warning else terms.warnings
        return replace(terms, execute_horizon=admission.execute_horizon, warnings=warnings)

    def _predict(
        self,
        robots: Iterable[Session],
        asking: RobotDemand,
        served: Capabilities,
        *,
        max_batch: int,
        is_running: bool,
    ) -> Admitted | None:
        """Return the answer by the prediction; None if there is a fault in it: robots do not pay for that.

        Raises:
            SessionRefusedError: the device cannot bear one more robot.
        """
        try:
            return predict(
                BatchProfile(served.latency),
                _demands(robots, served),
                asking,
                max_batch=max_batch,
                max_starved_share=self._max_starved_share,
                is_running=is_running,
            )
        except SessionRefusedError:
            raise
        except Exception:
            logger.exception("the load could not be predicted; the robot is admitted without that")
            return None

    def _known(self, asking: RobotDemand, now_ns: int) -> Admitted | None:
        until_ns, admission = self._remembered.get(asking, (0, None))
        return admission if now_ns < until_ns else None

    def _remember(self, asking: RobotDemand, admission: Admitted, now_ns: int) -> None:
        if self._known(asking, now_ns) is None:
            self._remembered.pop(asking, None)
            self._remembered[asking] = now_ns + REMEMBERED_NS, admission
        if len(self._remembered) > MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]


def device_demand(sessions: Iterable[Session], served: Capabilities, *, max_batch: int) -> float:
    """Return the share of the device that the open sessions need; 0 without measured inference times."""
    if not served.latency:
        return 0.0
    try:
        return demand_share(BatchProfile(served.latency), _demands(sessions, served), max_batch=max_batch)
    except Exception:
        logger.exception("the need of the open sessions could not be computed; it counts as nothing")
        return 0.0


def _demands(sessions: Iterable[Session], served: Capabilities) -> list[RobotDemand]:
    return [
        demand_of(s.opening.asked, served, weight=s.tenant.weight).agreed(s.opening.ack.execute_horizon)
        for s in sessions
        if s.opening is not None
    ]
