"""Gateway: robots of one foreign protocol, each with a vagus session of its own, on one link."""

from __future__ import annotations

import heapq
import hmac
import logging
import secrets
import threading
from dataclasses import replace
from pathlib import Path

from vagus.clock import Clock, MonotonicClock
from vagus.edge.client.discovery import find_server
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import parse_service
from vagus.edge.client.text_limits import check_identity, check_instruction, check_robot
from vagus.edge.config import EdgeConfig
from vagus.errors import ConfigError, SessionRefusedError, VagusError
from vagus.gateway_config import GatewayConfig
from vagus.gateways.metrics import GatewayMetrics
from vagus.gateways.peer import Peer
from vagus.gateways.peer_session import PeerSession, PeerSettings
from vagus.gateways.profile import Profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.quoting import quoted
from vagus.specs import rename_robot_spec
from vagus.transport.host import host_id
from vagus.transport.keys import ServiceKey, begins_keys
from vagus.transport.link import Link
from vagus.transport.service_name import ServiceName
from vagus.wire.schema import Capabilities

__all__ = ["Gateway"]

OF_WAITING = EdgeConfig(max_action_age_s=3600.0)
"""Settings of a conversation whose robot waits for each chunk: no plan grows old meanwhile."""
PEERS_FULL = "peers_full"
"""Reason against a robot over the limit."""
MAX_TOKEN_BYTES = 4096

logger = logging.getLogger(__name__)


class Gateway:
    """Admits foreign robots; each gets a session of its own. Any thread may call it.

    Args:
        config: settings.
        profile: what the keys of the wire mean.
        link: the network, shared by all robots; not closed by this object.
        clock: monotonic.

    Raises:
        ConfigError: the profile is of another protocol, the token cannot be read, or a name is wrong.
        SpecError: the profile converts between units that are not known.

    Attributes:
        config: settings.
        robot_prefix: start of the names of its robots; behind a router, of this process alone.
        mapping: translation between wire and vagus.
        metrics: counters.
    """

    def __init__(
        self, config: GatewayConfig, profile: Profile, link: Link, *, clock: Clock | None = None
    ) -> None:
        if profile.protocol != config.protocol:
            raise ConfigError(
                "profile",
                wanted=f"one of protocol {config.protocol}",
                got=f"{profile.name}: {profile.protocol}",
            )
        clock = clock or MonotonicClock()
        check_instruction(config.instruction)
        if not begins_keys(config.robot_prefix):
            wanted = "letters, digits, . and _, with single - between"
            raise ConfigError("name", wanted=wanted, got=repr(config.robot_prefix))
        self.robot_prefix = config.robot_prefix
        if (
            config.router
        ):  # another process there may go on for this one while the server still knows its robots
            self.robot_prefix += f"-{secrets.token_hex(2)}"
        check_identity(Identity(f"{self.robot_prefix}-{config.max_peers}", secrets.token_hex(8), host_id()))
        self.config = config
        self.mapping = WireMapping(profile)
        check_robot(rename_robot_spec(self.mapping.robot_spec, config.rename))
        self.metrics = GatewayMetrics(config.protocol, config.robot_prefix, clock)
        self._service = parse_service(config.service)
        self._models = {model: parse_service(service) for model, service in config.models.items()}
        self._token = None if config.token_path is None else _read_token(config.token_path)
        self._settings = PeerSettings(
            link=link,
            mapping=self.mapping,
            rename=config.rename,
            edge=replace(OF_WAITING, trust_units=config.trust_units),
            instruction=config.instruction,
            answer_timeout_s=config.answer_timeout_s,
            metrics=self.metrics,
            clock=clock,
        )
        self._lock = threading.Lock()
        self._free = list(range(1, config.max_peers + 1))

    def admit(
        self, address: str, *, model: str = "", service: ServiceKey | None = None, model_hash: str = ""
    ) -> Peer:
        """Return a new robot of this gateway; its place is free again once it is closed.

        Args:
            address: where it comes from, for logs and audits.
            model: model that it names; "": it names none.
            service: the service, where it is known already: its servers are found sooner than by a name.
            model_hash: identity of the only policy that it is served by, even after a reset; "": any.

        Raises:
            SessionRefusedError: there are as many robots as may be, or the model is not served here.
        """
        wanted = service or self._service_of(model)
        with self._lock:
            number = heapq.heappop(self._free) if self._free else None
        if number is None:
            self.metrics.count("refused_full")
            most = self.config.max_peers
            raise SessionRefusedError(PEERS_FULL, f"this gateway has {most} robots and takes no more")
        self.metrics.add_peers(1)

        def leave() -> None:
            self.metrics.add_peers(-1)
            with self._lock:
                heapq.heappush(self._free, number)
            logger.info("robot %s has left", name)

        name = f"{self.robot_prefix}-{number}"
        tags = {"gateway": self.config.protocol, "peer": quoted(address, 64)}
        logger.info("robot %s comes from %s", name, quoted(address, 64))
        identity = Identity(name, secrets.token_hex(8), host_id(), tags)
        return Peer(self._settings_for(model_hash), identity, service=wanted, leave=leave)

    def trouble(self, model_hash: str = "") -> str:
        """Return why a robot would get no actions now: no server, or a policy that does not fit; "": none.

        Args:
            model_hash: as at `admit`.
        """
        trial = Identity(f"{self.robot_prefix}-0", secrets.token_hex(8), host_id())
        try:
            for service in set(self._models.values()) or {self._service}:
                PeerSession(self._settings_for(model_hash), trial, service)
        except VagusError as error:
            return str(error)
        return ""

    def served(self, model: str = "") -> Capabilities:
        """Return what a ready server of a model says of itself; asks the network.

        Raises:
            LinkError: there is none now.
            SessionRefusedError: the model is not served here.
            ConfigError: several services, and none chosen.
        """
        return find_server(self._settings.link, self._service_of(model), self._settings.edge)[1]

    def check_token(self, given: str | None) -> bool:
        """Return whether this is the secret; in the time of a comparison, whatever is given."""
        if self._token is None:
            return True
        is_right = hmac.compare_digest(self._token, (given or "").encode("utf-8", "surrogatepass"))
        if not is_right:
            self.metrics.count("refused_token")
        return is_right

    def _settings_for(self, model_hash: str) -> PeerSettings:
        return replace(self._settings, edge=replace(self._settings.edge, pin_model=model_hash))

    def _service_of(self, model: str) -> ServiceName | None:
        if not self._models:
            return self._service
        if model not in self._models:
            self.metrics.count("refused_model")
            served = ", ".join(sorted(self._models))
            raise SessionRefusedError("model_unknown", f"wanted one of {served}, got {quoted(model, 80)!r}")
        return self._models[model]


def _read_token(path: Path) -> bytes:
    try:
        token = path.read_bytes()[: MAX_TOKEN_BYTES + 1].strip()
    except OSError as error:
        raise ConfigError("token_path", wanted="a file", got=f"{path}: {error.strerror}") from error
    if not token or len(token) > MAX_TOKEN_BYTES:
        wanted = f"a file with a secret of 1 to {MAX_TOKEN_BYTES} bytes"
        raise ConfigError("token_path", wanted=wanted, got=f"{path} with {len(token)}")
    return token
