"""Admission at session open: what the open sessions need of the device, and the terms for one more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vagus.clock import NS_PER_S
from vagus.server.admission import demand_of, predict
from vagus.server.batch_profile import BatchProfile
from vagus.server.capacity import RobotDemand, demand_share
from vagus.server.config import AdmissionChoice, ServeConfig
from vagus.server.sessions import Session
from vagus.server.validate import Terms
from vagus.wire.schema import Capabilities, OpenMessage

__all__ = ["SessionAdmission", "device_demand"]

QUIET_NS = 30 * NS_PER_S
"""Time without a message after which a robot counts as one that asks for nothing: it is paused or idle."""


class SessionAdmission:
    """Terms of the sessions, by the load that they will be.

    Args:
        config: settings of the server.
    """

    def __init__(self, config: ServeConfig) -> None:
        self._predicts = config.admission is AdmissionChoice.PREDICT
        self._max_starved_share = config.slo_starved_share

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
        robots = [s for s in others if now_ns - s.heard_ns < QUIET_NS]
        admission = predict(
            BatchProfile(served.latency),
            _demands(robots, served),
            demand_of(request, served),
            max_batch=max_batch,
            max_starved_share=self._max_starved_share,
            is_running=request.model_hash is not None,
        )
        warnings = (admission.warning, *terms.warnings) if admission.warning else terms.warnings
        return replace(terms, execute_horizon=admission.execute_horizon, warnings=warnings)


def device_demand(sessions: Iterable[Session], served: Capabilities, *, max_batch: int) -> float:
    """Return the share of the device that the open sessions need; 0 without measured inference times."""
    if not served.latency:
        return 0.0
    return demand_share(BatchProfile(served.latency), _demands(sessions, served), max_batch=max_batch)


def _demands(sessions: Iterable[Session], served: Capabilities) -> list[RobotDemand]:
    return [
        demand_of(s.opening.asked, served, weight=s.tenant.weight).agreed(s.opening.ack.execute_horizon)
        for s in sessions
        if s.opening is not None
    ]
