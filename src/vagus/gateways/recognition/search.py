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
    MAX_ANSWER_BYTES,
    OPENING,
    OWN_HEADER,
    Answer,
    Carrier,
    Recognised,
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
"""Longest search, in seconds, and then one question more; of an ordinary server, it takes one to three."""
UNNAMED: Final = (
    "nobody shows a token; behind access rules, or where a gateway serves any task, name what is served: "
    "host:port/deployment, or for LeRobot's draft host:port/model/revision/task"
)
ON_BOTH: Final = frozenset({"PointAct"})
"""Protocols whose servers may tell HTTP and ZeroMQ apart by the first byte, and so do not greet first."""
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
        return _with_zeromq(_over_http(there.words, address, limit), address, limit)
    if there.carrier in (Carrier.ZEROMQ, Carrier.GRPC):
        found = _asked_and_judged(there.carrier, address, limit)
        return Search(there.words, is_anybody=True, recognised=found)
    # a router that wants certificates answers nobody without them: Zenoh itself finds out
    if there.carrier is Carrier.ZENOH or (there.is_anybody and zenoh.tls.is_on):
        return _over_zenoh(there.words, address, zenoh, limit)
    return Search(there.words, there.is_anybody)


def _asked_and_judged(carrier: Carrier, address: SearchedAddress, limit: TimeLimit) -> tuple[Recognised, ...]:
    questions = {
        name: payload
        for one in recognisers()
        if one.carrier is carrier
        for name, payload in one.questions.items()
    }
    answers = {
        name: _answer(_exchange(carrier, name, payload, address), address, limit)
        for name, payload in questions.items()
    }
    return _judged(carrier, answers)


def _judged(carrier: Carrier, answers: Mapping[str, Answer]) -> tuple[Recognised, ...]:
    judged = [one.judge(answers) for one in recognisers() if one.carrier is carrier]
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
            found = _asked_and_judged(Carrier.HTTP, address, limit)
            return Search(words, is_anybody=True, recognised=found)
        said = opened.trouble or f"begins with a {opened.kind} message of {len(opened.body)} bytes"
        words = f"a WebSocket server: {said}"
    return Search(words, is_anybody=True, recognised=_judged(Carrier.WEBSOCKET, answers))


def _with_zeromq(found: Search, address: SearchedAddress, limit: TimeLimit) -> Search:
    """Return what was found over HTTP, and what ZeroMQ finds where a protocol may have both on one port."""
    if not any(one.protocol in ON_BOTH for one in found.recognised):
        return found
    more = _asked_and_judged(Carrier.ZEROMQ, address, limit)
    return replace(found, recognised=(*found.recognised, *more))


def _over_zenoh(words: str, address: SearchedAddress, zenoh: ZenohConfig, limit: TimeLimit) -> Search:
    config = replace(
        zenoh,
        mode=LinkMode.CLIENT,
        connect=(address.endpoint,),
        listen=(),
        shared_memory=False,
        extra=(*zenoh.extra, f"transport/link/rx/max_message_size={MAX_ANSWER_BYTES}"),
    )
    found: list[Recognised] = []
    try:
        with ZenohLink(config) as link:
            _collect(found, recognise_native(link), limit)
        with ZenohPlainLink(config) as plain:
            for recognise in recognisers_over_zenoh():
                _collect(found, recognise(plain, address.path.strip("/")), limit)
    except LinkError as error:
        words = f"{words}; {error}"
    if not found:
        words = f"{words}; {UNNAMED}"
    return Search(words, is_anybody=True, recognised=tuple(found))


def _collect(found: list[Recognised], more: Iterable[Recognised], limit: TimeLimit) -> None:
    """Add what is recognised, as long as there is time: each one was asked for it."""
    for one in more:
        found.append(one)
        if not limit.left_s(SEARCH_S):
            return
