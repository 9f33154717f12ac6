"""Server process with one warm policy for many robots: starts and stops the parts in order."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Generic, TypeVar

import msgspec

from vagus.clock import Clock, MonotonicClock
from vagus.errors import PolicyError, VagusError
from vagus.policies.policy import CountsEvents, Policy, failure_of
from vagus.server.capabilities import check_can_travel, loaded, unloaded
from vagus.server.config import ServeConfig
from vagus.server.decode_rate import decode_rate
from vagus.server.health import HealthServer, Vitals, answer
from vagus.server.lifecycle import Event, Phase
from vagus.server.log_files import LogFiles
from vagus.server.metrics import ServerMetrics
from vagus.server.options import PipelineOptions
from vagus.server.phases import Phases
from vagus.server.pipeline import Pipeline
from vagus.server.publisher import Publisher
from vagus.server.rebalancer import Rebalancer
from vagus.server.reception import Reception
from vagus.server.replies import OutcomeLog
from vagus.server.served_policy import ServedPolicy
from vagus.server.status import Status
from vagus.server.validate import Offer
from vagus.server.warmup import check_chunk_size, warm_up
from vagus.threads import Threads, join_in
from vagus.transport.keys import ServerKey, ServiceKey, sanitise
from vagus.transport.link import Link, Query
from vagus.wire.schema import Capabilities, LatencyRow, Load

__all__ = ["Server"]

SessionT = TypeVar("SessionT")

JOIN_TIMEOUT_S = 5.0
"""Longest wait for all threads at the end; the thread of a policy that hangs is left running."""

MIN_JOIN_S = 0.2
"""Shortest wait for each thread, even if the time is used up."""

logger = logging.getLogger(__name__)


class Server(Generic[SessionT]):
    """Server of a policy on a link, from `start` to `drain` or `close`. A context manager.

    Args:
        link: the network link; it stays open.
        factory: function that loads the policy. It runs on the policy thread, as does all use of the policy.
        config: settings of the server.
        clock: monotonic clock.
    """

    def __init__(
        self,
        link: Link,
        factory: Callable[[], Policy[SessionT]],
        config: ServeConfig,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.config = config
        self.metrics = ServerMetrics()
        name = f"{sanitise(config.server_name)}-{secrets.token_hex(3)}"
        service = ServiceKey.of(*config.service_parts)
        self.key = ServerKey(service, name)
        self._link = link
        self._factory = factory
        self._clock: Clock = clock or MonotonicClock()
        self._phases = Phases()
        self._closing = threading.RLock()
        self._has_ended: bool | None = None
        self._threads = Threads(self._clock)
        self._publisher = Publisher(link, self.key, self.metrics, self._threads)
        self._log_files = LogFiles(config, self.metrics, self._threads)
        self._reception: Reception[SessionT] = Reception(
            config, publisher=self._publisher, log_files=self._log_files, threads=self._threads
        )
        self._outcomes = OutcomeLog(
            self.metrics, self._log_files.write, self._reception.tenant_metrics.record
        )
        self._pipeline: Pipeline[SessionT] | None = None
        self._capabilities = unloaded(config, self.key)
        self._status = Status(lambda: (self.phase, self._failing()), self.capabilities, self._clock)
        self._health: HealthServer | None = None
        self._policy_thread = self._threads.make("vagus-policy", self._run)
        sweep = partial(self._reception.sweep.run, self._phases.stopped, config.client_grace_s, self._threads)
        self._sweep_thread = self._threads.make("vagus-sweep", sweep)
        self._share_thread = self._threads.make("vagus-share", self._share)

    # for the owner

    def __enter__(self) -> Server[SessionT]:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start to load the policy; status queries are answered from now on.

        Raises:
            ConfigError: the health port is in use, or a file in the settings cannot be written.
        """
        if self.config.health_port:
            vitals = Vitals(
                phase=lambda: self.phase,
                is_healthy=self._policy_thread.is_alive,
                load=self.load,
                metrics=self.metrics,
                failing=self._policy_failing,
                ended=lambda: self._threads.ended,
            )
            self._health = HealthServer(
                self.config.health_host, self.config.health_port, partial(answer, vitals=vitals)
            )
            self._health.start()
        self._log_files.start()
        self._publisher.start()
        self._reception.endpoints.start()
        self._reception.surface.declare(self._reception.endpoints, self._on_status)
        self._policy_thread.start()
        self._sweep_thread.start()
        if self.config.rebalance:
            self._share_thread.start()

    @property
    def phase(self) -> Phase:
        """Phase of the server."""
        return self._phases.current

    def load(self) -> Load:
        """Return the load of the server."""
        pipeline = self._pipeline
        return Load(max_sessions=self.config.max_sessions) if pipeline is None else pipeline.load()

    def capabilities(self) -> Capabilities:
        """Return the capabilities, which answer the status query."""
        said = msgspec.structs.replace(
            self._capabilities, phase=self.phase.value, load=self.load(), failing=self._failing()
        )
        return said if self._pipeline is None else self._pipeline.present(said)

    def _failing(self) -> str:
        """Return the reason why robots should use another server, or ""."""
        ended = self._threads.ended
        return f"a thread of the server has ended: {ended}" if ended else self._policy_failing()

    def _policy_failing(self) -> str:
        return "" if self._pipeline is None else self._pipeline.failing

    def wait_ready(self, timeout_s: float | None = None) -> bool:
        """Wait until sessions are accepted; return False after `timeout_s`.

        Raises:
            VagusError: the policy could not be loaded, or the server was stopped before it was ready.
        """
        return self._phases.wait_ready(timeout_s)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the server has stopped; return False if it still runs.

        Raises:
            VagusError: the error that stopped the server.
        """
        return self._phases.wait_stopped(timeout_s)

    def drain(self) -> bool:
        """Refuse new sessions, finish the accepted requests, and stop. A second call does nothing.

        Clients are told to use another server. Takes at most `drain_timeout_s` plus `JOIN_TIMEOUT_S`. Returns
        False if requests got no answer, or if a thread hangs and was left running.
        """
        phase = self._phases.drain()
        if phase is None:
            return True
        is_finished, pipeline = True, self._pipeline
        if phase is Phase.DRAINING and pipeline is not None:
            self._reception.endpoints.refuse()
            is_finished = pipeline.drain(self.config.drain_timeout_s)
            if not is_finished:
                logger.error("not all requests were finished in %g s", self.config.drain_timeout_s)
        return self.close() and is_finished

    def close(self) -> bool:
        """Stop at once: requests in work are dropped, the token disappears. A second call does nothing.

        Takes at most `JOIN_TIMEOUT_S`. Returns False if a thread hangs and was left running.
        """
        self._phases.stop(None)
        with self._closing:
            if self._has_ended is None:
                self._has_ended = self._end(time.monotonic() + JOIN_TIMEOUT_S)
            return self._has_ended

    def _end(self, deadline_s: float) -> bool:
        def left_s() -> float:
            return max(deadline_s - time.monotonic(), MIN_JOIN_S)

        self._reception.surface.undeclare()
        self._reception.endpoints.stop(left_s())
        if self._pipeline is not None:
            self._pipeline.stop(left_s())
        has_ended = join_in(self._policy_thread, left_s())
        has_ended &= join_in(self._sweep_thread, left_s()) and join_in(self._share_thread, left_s())
        self._publisher.stop(left_s())
        self._reception.log.stopped(len(self._reception.sessions))
        self._log_files.stop(left_s())
        if self._health is not None:
            self._health.stop()
        return has_ended

    # policy thread

    def _run(self) -> None:
        try:
            policy = self._factory()
            try:
                self._serve(policy)
            finally:
                policy.close()
        except VagusError as error:
            self._phases.stop(error)
        except BaseException as error:
            logger.exception("the policy thread failed")
            self._phases.stop(PolicyError(f"policy {self.config.policy!r}: {failure_of(error)}"))

    def _serve(self, policy: Policy[SessionT]) -> None:
        model = ServedPolicy.of(policy, self.config)
        if not self._phases.advance(Event.LOADED):
            return
        check_chunk_size(model.spec)
        rows = self._warm(model)
        decoded_per_s = decode_rate(model.spec, self.config, self._clock)
        if isinstance(policy, CountsEvents):  # after the warm-up, which is no robot's
            policy.count_with(partial(self.metrics.count, "policy"))
        options = PipelineOptions.of(
            self.config,
            rows,
            max_batch=model.max_batch(self.config.max_batch),
            is_exclusive=model.is_exclusive,
        )
        self._reception.tell(options, is_measured=bool(rows))
        self._capabilities = loaded(self._capabilities, model, rows, decoded_per_s)
        check_can_travel(self._capabilities)
        pipeline = self._pipeline = Pipeline(
            model,
            options,
            publisher=self._publisher,
            outcomes=self._outcomes,
            threads=self._threads,
        )
        if not self._phases.advance(Event.WARMED):
            return
        pipeline.start()
        capabilities = msgspec.structs.replace(self._capabilities, phase=Phase.READY.value)
        offer = Offer(capabilities, pin_task=self.config.pin_task, strict_rate=self.config.strict_rate)
        self._reception.sessions.admit(
            pipeline, offer, max_sessions=options.max_sessions, exclusive_because=model.exclusive_because
        )
        if self.phase is Phase.READY:
            self._reception.surface.appear()
        self._phases.can_be_found()
        pipeline.serve()

    def _warm(self, model: ServedPolicy[SessionT]) -> tuple[LatencyRow, ...]:
        if not self.config.warm_up:
            return ()
        return warm_up(
            model,
            max_batch=model.max_batch(self.config.max_batch),
            max_pixels=self.config.max_image_pixels,
            runs=self.config.warm_up_runs,
            clock=self._clock,
        )

    # other threads

    def _share(self) -> None:
        rebalancer = Rebalancer(
            self._link, self.key, self._reception.sessions, publisher=self._publisher, say=self.capabilities
        )
        rebalancer.run(self._phases.stopped, self._threads)

    def _on_status(self, query: Query) -> None:
        self._publisher.status(query, self._status.payload())
