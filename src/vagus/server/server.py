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
from vagus.errors import PolicyError, StateError, VagusError
from vagus.policies.policy import CountsEvents, Policy, failure_of
from vagus.server.capabilities import check_can_travel, loaded, unloaded
from vagus.server.config import ServeConfig
from vagus.server.endpoints import Endpoints
from vagus.server.health import HealthServer, Vitals, answer
from vagus.server.lifecycle import TRANSITIONS, Event, Phase, advance
from vagus.server.log_files import LogFiles
from vagus.server.metrics import ServerMetrics
from vagus.server.options import PipelineOptions
from vagus.server.pipeline import Pipeline
from vagus.server.publisher import Publisher
from vagus.server.replies import OutcomeLog
from vagus.server.served_policy import ServedPolicy
from vagus.server.session_log import SessionLog
from vagus.server.status import Status
from vagus.server.validate import Offer
from vagus.server.warmup import check_chunk_size, warm_up
from vagus.threads import Threads
from vagus.transport.keys import ServerKey, ServiceKey, sanitise
from vagus.transport.link import Declaration, Link, Query
from vagus.wire.schema import Capabilities, LatencyRow, Load

__all__ = ["Server"]

SessionT = TypeVar("SessionT")

TAKING_IN = "taking in a message"

SWEEP_PERIOD_S = 1.0
"""Period of the search for clients that are gone or silent."""

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
        service = ServiceKey.of(config.model_name, config.revision, config.service_name)
        self.key = ServerKey(service, name)
        self._link = link
        self._factory = factory
        self._clock: Clock = clock or MonotonicClock()
        self._lock = threading.Lock()
        self._phase = Phase.LOADING
        self._failure: VagusError | None = None
        self._ready = threading.Event()
        self._stopped = threading.Event()
        self._closing = threading.RLock()
        self._has_ended: bool | None = None
        self._threads = Threads(self._clock)
        self._publisher = Publisher(link, self.key, self.metrics, self._threads)
        self._log_files = LogFiles(config, self.metrics, self._threads)
        self._outcomes = OutcomeLog(self.metrics, self._log_files.write)
        self._session_log = SessionLog(self.metrics, self._log_files.write_event, self._clock)
        self._endpoints: Endpoints[SessionT] = Endpoints(
            link,
            self.key,
            config,
            publisher=self._publisher,
            log=self._session_log,
            threads=self._threads,
        )
        self._pipeline: Pipeline[SessionT] | None = None
        self._capabilities = unloaded(config, self.key)
        self._status = Status(lambda: (self.phase, self._failing()), self.capabilities, self._clock)
        self._surface: list[Declaration] = []
        self._starting: Declaration | None = None
        self._presence: list[Declaration] = []
        self._health: HealthServer | None = None
        self._policy_thread = self._threads.make("vagus-policy", self._run)
        self._sweeper = self._threads.make("vagus-sweep", self._sweep)

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
        self._endpoints.start()
        self._presence.append(self._link.serve(self.key.status, self._on_status))
        self._starting = self._link.token(self.key.starting)
        self._presence.append(self._starting)
        clients = self.key.any_client
        self._surface += [
            self._link.serve(clients.session, self._threads.guarded(TAKING_IN, self._endpoints.on_session)),
            self._link.serve(clients.reset, self._threads.guarded(TAKING_IN, self._endpoints.on_reset)),
            self._link.subscribe(
                clients.observation, self._threads.guarded(TAKING_IN, self._endpoints.on_observation)
            ),
            self._link.watch(clients.alive("*"), self._on_token),
        ]
        self._policy_thread.start()
        self._sweeper.start()

    @property
    def phase(self) -> Phase:
        """Phase of the server."""
        with self._lock:
            return self._phase

    def load(self) -> Load:
        """Return the load of the server."""
        pipeline = self._pipeline
        return Load(max_sessions=self.config.max_sessions) if pipeline is None else pipeline.load()

    def capabilities(self) -> Capabilities:
        """Return the capabilities, which answer the status query."""
        return msgspec.structs.replace(
            self._capabilities, phase=self.phase.value, load=self.load(), failing=self._failing()
        )

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
        is_ready = self._ready.wait(timeout_s)
        self._raise_failure()
        if is_ready and self.phase is Phase.STOPPED:
            raise StateError("the server was stopped before it was ready")
        return is_ready

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the server has stopped; return False if it still runs.

        Raises:
            VagusError: the error that stopped the server.
        """
        is_stopped = self._stopped.wait(timeout_s)
        self._raise_failure()
        return is_stopped

    def drain(self) -> bool:
        """Refuse new sessions, finish the accepted requests, and stop. A second call does nothing.

        Clients are told to use another server. Takes at most `drain_timeout_s` plus `JOIN_TIMEOUT_S`. Returns
        False if requests got no answer, or if a thread hangs and was left running.
        """
        with self._lock:
            if self._phase in (Phase.DRAINING, Phase.STOPPED):
                return True
            self._phase = advance(self._phase, Event.DRAIN)
            pipeline = self._pipeline if self._phase is Phase.DRAINING else None
        is_finished = True
        if pipeline is not None:
            self._endpoints.refuse()
            is_finished = pipeline.drain(self.config.drain_timeout_s)
            if not is_finished:
                logger.error("not all requests were finished in %g s", self.config.drain_timeout_s)
        return self.close() and is_finished

    def close(self) -> bool:
        """Stop at once: requests in work are dropped, the token disappears. A second call does nothing.

        Takes at most `JOIN_TIMEOUT_S`. Returns False if a thread hangs and was left running.
        """
        self._stop(None)
        with self._closing:
            if self._has_ended is None:
                self._has_ended = self._end(time.monotonic() + JOIN_TIMEOUT_S)
            return self._has_ended

    def _end(self, deadline_s: float) -> bool:
        def left_s() -> float:
            return max(deadline_s - time.monotonic(), MIN_JOIN_S)

        for declaration in (*self._surface, *reversed(self._presence)):
            declaration.undeclare()
        self._endpoints.stop(left_s())
        if self._pipeline is not None:
            self._pipeline.stop(left_s())
        has_ended = _join(self._policy_thread, left_s())
        has_ended &= _join(self._sweeper, left_s())
        self._publisher.stop(left_s())
        self._session_log.stopped(len(self._endpoints))
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
            self._stop(error)
        except BaseException as error:
            logger.exception("the policy thread failed")
            self._stop(PolicyError(f"policy {self.config.policy!r}: {failure_of(error)}"))

    def _serve(self, policy: Policy[SessionT]) -> None:
        model = ServedPolicy.of(policy, self.config)
        if not self._advance(Event.LOADED):
            return
        check_chunk_size(model.spec)
        rows = self._warm(model)
        if isinstance(policy, CountsEvents):  # after the warm-up, which is no robot's
            policy.count_with(partial(self.metrics.count, "policy"))
        options = PipelineOptions.of(
            self.config,
            rows,
            max_batch=model.max_batch(self.config.max_batch),
            is_exclusive=model.is_exclusive,
        )
        self._capabilities = loaded(self._capabilities, model, rows)
        check_can_travel(self._capabilities)
        pipeline = Pipeline(
            model,
            options,
            publisher=self._publisher,
            outcomes=self._outcomes,
            threads=self._threads,
        )
        with self._lock:
            if self._phase is not Phase.WARMING:
                return
            self._phase = advance(self._phase, Event.WARMED)
            self._pipeline = pipeline
        pipeline.start()
        capabilities = msgspec.structs.replace(self._capabilities, phase=Phase.READY.value)
        offer = Offer(capabilities, pin_task=self.config.pin_task, strict_rate=self.config.strict_rate)
        self._endpoints.admit(
            pipeline, offer, max_sessions=options.max_sessions, exclusive_because=model.exclusive_because
        )
        self._appear()
        pipeline.serve()

    def _appear(self) -> None:
        """Declare the liveliness token of a server that accepts sessions."""
        token = self._link.token(self.key.alive)
        with self._lock:
            is_wanted = self._phase is Phase.READY
            if is_wanted:
                self._presence.append(token)
        if not is_wanted:
            token.undeclare()
        if self._starting is not None:
            self._starting.undeclare()
        self._ready.set()

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

    def _sweep(self) -> None:
        while not self._stopped.wait(min(SWEEP_PERIOD_S, self.config.client_grace_s)):
            with self._threads.going_on("looking for clients that are gone"):
                self._endpoints.sweep()

    # the link's threads

    def _on_status(self, query: Query) -> None:
        with self._threads.going_on("answering a question about the status"):
            self._publisher.status(query, self._status.payload())

    def _on_token(self, key: str, is_alive: bool) -> None:  # noqa: FBT001 - the link's signature
        with self._threads.going_on("noting a token"):
            self._endpoints.on_token(key, is_alive)

    # phases

    def _advance(self, event: Event) -> bool:
        """Change to the next phase, unless the server was stopped meanwhile."""
        with self._lock:
            if self._phase is Phase.STOPPED:
                return False
            self._phase = advance(self._phase, event)
        return True

    def _stop(self, failure: VagusError | None) -> None:
        """Change to STOPPED from any phase."""
        events = (Event.DRAIN, Event.DRAINED) if failure is None else (Event.FAILED,)
        with self._lock:
            if failure is not None and self._phase is not Phase.STOPPED:
                self._failure = failure
            for event in events:
                if event in TRANSITIONS[self._phase]:
                    self._phase = advance(self._phase, event)
        self._ready.set()
        self._stopped.set()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _join(thread: threading.Thread, timeout_s: float) -> bool:
    if thread.ident is None or thread is threading.current_thread():
        return True
    thread.join(timeout_s)
    if thread.is_alive():
        logger.error("%s did not end in %.1f s and is left behind", thread.name, timeout_s)
    return not thread.is_alive()
