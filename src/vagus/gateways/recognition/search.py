"""Search for the protocols at an address. It loads no model, moves no robot and takes no session.

The first bytes tell what carries the messages there; then every protocol over that carrier is asked the
questions by which it is recognised. All of it is bounded in time and bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from vagus.errors import LinkError
from vagus.gateways.recognition.address import SearchedAddress
from vagus.gateways.recognition.exchange import ProbeExchange, TimeLimit, asked, connected
from vagus.gateways.recognition.findings import (
    HEALTH,
    OPENING,
    OWN_HEADER,
    Answer,
    Carrier,
    Recognised,
    Recogniser,
)
from vagus.gateways.recognition.grpc_exchange import GrpcExchange
from vagus.gateways.recognition.http_exchange import HttpExchange, WebSocketExchange
from vagus.gateways.recognition.native import recognise_native
from vagus.gateways.recognition.registry import recognisers, recognisers_over_zenoh
from vagus.gateways.recognition.zeromq_exchange import ZeroMqExchange
from vagus.gateways.what_answers import something_at
from vagus.transport.zenoh import ZenohLink, ZenohPlainLink
from vagus.transport.zenoh_config import LinkMode, ZenohConfig

__all__ = ["Search", "search"]

SEARCH_S = 20.0
"""Longest search over sockets, in seconds; one of an ordinary server takes one or two."""
UNNAMED: Final = (
    "nobody shows a token; behind access rules, or where a gateway serves any task, name what is served: "
    "host:port/deployment, or for LeRobot's draft host:port/model/revision/task"
)
_SWITCHED: Final = 101


@dataclass(frozen=True, slots=True)
class Search:
    """What was found at an address.

    Attributes:
        there: what is there, in words.
        is_anybody: whether somebody accepts connections.
        recognised: protocols that answer.
    """

    there: str
    is_anybody: bool
    recognised: tuple[Recognised, ...] = ()


def search(address: SearchedAddress, zenoh: ZenohConfig) -> Search:
    """Return what answers at an address, of all protocols that are known.

    Args:
        address: where to look.
        zenoh: certificates and times of a link, for an address of Zenoh.
    """
    there = something_at(address.host, address.port, is_secured=address.is_secured, is_opening=False)
    limit = TimeLimit(SEARCH_S)
    if there.carrier is Carrier.HTTP:
        return _over_http(there.words, address, limit)
    if there.carrier in (Carrier.ZEROMQ, Carrier.GRPC):
        found = _judged(there.carrier, address, limit)
        return Search(there.words, is_anybody=True, recognised=found)
    # a router that wants certificates answers nobody without them: Zenoh itself finds out
    if there.carrier is Carrier.ZENOH or (there.is_anybody and zenoh.tls.is_on):
        return _over_zenoh(there.words, address, zenoh)
    return Search(there.words, there.is_anybody)


def _judged(
    carrier: Carrier, address: SearchedAddress, limit: TimeLimit, known: Mapping[str, Answer] | None = None
) -> tuple[Recognised, ...]:
    those = [one for one in recognisers() if one.carrier is carrier]
    answers = dict(known or {})
    for recogniser in those:
        for name, payload in recogniser.questions.items():
            if known is None and name not in answers:
                answers[name] = _answer(_exchange(carrier, name, payload, address), address, limit)
    return _those(those, answers)


def _those(those: Iterable[Recogniser], answers: Mapping[str, Answer]) -> tuple[Recognised, ...]:
    judged = [one.judge(answers) for one in those]
    return tuple(one for one in judged if one is not None)


def _exchange(carrier: Carrier, name: str, payload: bytes, address: SearchedAddress) -> ProbeExchange:
    if carrier is Carrier.ZEROMQ:
        return ZeroMqExchange(payload)
    if carrier is Carrier.GRPC:
        return GrpcExchange(name, payload, address.target)
    method, _, path = name.partition(" ")
    return HttpExchange(method, path, address.target, body=payload)


def _answer(exchange: ProbeExchange, address: SearchedAddress, limit: TimeLimit) -> Answer:
    connect = partial(connected, address.host, address.port, limit, is_secured=address.is_secured)
    return asked(connect, exchange, limit)


def _over_http(words: str, address: SearchedAddress, limit: TimeLimit) -> Search:
    health = _answer(_exchange(Carrier.HTTP, HEALTH, b"", address), address, limit)
    answers = {HEALTH: health}
    if (health.headers or {}).get("server") != OWN_HEADER:
        opened = _answer(WebSocketExchange(address.path, address.target), address, limit)
        answers[OPENING] = opened
        if opened.status != _SWITCHED:
            return Search(words, is_anybody=True, recognised=_judged(Carrier.HTTP, address, limit))
        said = opened.trouble or f"begins with a {opened.kind} message of {len(opened.body)} bytes"
        words = f"a WebSocket server: {said}"
    found = _judged(Carrier.WEBSOCKET, address, limit, answers)
    return Search(words, is_anybody=True, recognised=found)


def _over_zenoh(words: str, address: SearchedAddress, zenoh: ZenohConfig) -> Search:
    config = replace(zenoh, mode=LinkMode.CLIENT, connect=(address.endpoint,), listen=(), shared_memory=False)
    found: list[Recognised] = []
    try:
        with ZenohLink(config) as link:
            found += recognise_native(link)
        with ZenohPlainLink(config) as plain:
            for recognise in recognisers_over_zenoh():
                found += recognise(plain, address.path.strip("/"))
    except LinkError as error:
        words = f"{words}; {error}"
    if not found:
        words = f"{words}; {UNNAMED}"
    return Search(words, is_anybody=True, recognised=tuple(found))
