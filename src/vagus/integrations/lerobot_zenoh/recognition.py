"""Recognition of servers of LeRobot's remote inference on a network: version 1, its generations, the draft.

They are asked what they are, which every client does first; no session is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final, TypeVar

from vagus.errors import LinkError, ProtocolError
from vagus.gateways.msgpack import ValueMap
from vagus.gateways.recognition.findings import RUNS_THE_POLICY, Check, Recognised, check_that
from vagus.integrations.lerobot_zenoh.draft.attachment import SCHEMA_VERSION
from vagus.integrations.lerobot_zenoh.draft.keys import DraftKey, DraftPlace, parse_draft_key
from vagus.integrations.lerobot_zenoh.draft.status import DraftStatus
from vagus.integrations.lerobot_zenoh.v1.codes import RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.contracts import CHUNK_ALIGNMENT_V1, CHUNK_ALIGNMENT_V2
from vagus.integrations.lerobot_zenoh.v1.descriptor import Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import (
    MessageHead,
    MessageType,
    decode_message,
    encode_message,
    is_segment,
)
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace, parse_key
from vagus.quoting import quoted
from vagus.transport.plain_link import PlainLink

__all__ = ["OVER_ZENOH", "judge_descriptor", "judge_status"]

KeyT = TypeVar("KeyT")

MOST_ASKED: Final = 16
"""Most deployments, or services of the draft, that are asked on one network."""
TIMEOUT_S: Final = 1.0
_V1_ALIVE: Final = "lerobot/inference/v1/deployments/*/instances/*/alive"
_V1_DESCRIBE: Final = "lerobot/inference/v1/deployments/*/describe"
_DRAFT_ALIVE: Final = "@lerobot/*/*/*/server/alive"
_DRAFT_STATUS: Final = "@lerobot/*/*/*/status"
_REQUEST_ID: Final = "vagus-asks"
_V1: Final = "LeRobot remote inference v1"
_DRAFT: Final = "LeRobot remote inference, draft"
_UNTRIED: Final = Check("sessions, observations and actions", None, f"{RUNS_THE_POLICY}, and takes a session")


def judge_descriptor(payload: bytes, deployment: str = "") -> Recognised:
    """Return what an answer to `describe` shows.

    Args:
        payload: the answer.
        deployment: that was asked; "": any.
    """
    rule = "the answer to describe is a descriptor that clients read"
    try:
        head, body = decode_message(payload)
        if head.kind is not MessageType.DESCRIPTOR:
            return Recognised(
                _V1, "", f"an answer {head.kind.value}", (Check(rule, is_kept=False, got=head.kind.value),)
            )
        described = Deployment.from_wire(body)
    except (ProtocolError, RemoteMessageError) as error:
        return Recognised(_V1, "", "an answer to describe", (Check(rule, is_kept=False, got=quoted(error)),))
    name, instance = described.name, described.instance_id
    checks = (
        Check(rule, is_kept=True),
        check_that(
            "it repeats the request's id", head.request_id == _REQUEST_ID, quoted(head.request_id, 40)
        ),
        check_that("the deployment is the one that was asked", deployment in ("", name), quoted(name, 80)),
        check_that("the ids of the instance are one", head.instance_id == instance, quoted(instance, 80)),
        check_that("it is ready", described.is_ready, "it is not"),
        _UNTRIED,
    )
    seen = f"deployment {quoted(name, 80)}, semantics {quoted(described.semantics, 80)!r}"
    return Recognised(_V1, _generation(body, described.contracts), seen, checks)


def judge_status(payload: bytes) -> Recognised:
    """Return what an answer to the draft's `status` shows."""
    rule = "the answer to status is one that clients read"
    try:
        status = DraftStatus.decode(payload)
    except (ProtocolError, RemoteMessageError) as error:
        return Recognised(_DRAFT, "", "an answer to status", (Check(rule, is_kept=False, got=quoted(error)),))
    least, most = status.min_schema_version, status.max_schema_version
    versions = f"{least}" if least == most else f"{least}–{most}"
    checks = (
        Check(rule, is_kept=True),
        check_that(f"it speaks schema {SCHEMA_VERSION}", least <= SCHEMA_VERSION <= most, versions),
        check_that("it is warmed up", status.model.is_warmed_up, "it is not"),
        _UNTRIED,
    )
    model = f"{quoted(status.model.model_repo, 80)} at {quoted(status.model.model_revision, 40)}"
    return Recognised(_DRAFT, f"schema {versions}", f"model {model}", checks)


def _generation(body: ValueMap, contracts: tuple[str, ...]) -> str:
    """Return the generation: all of them call themselves version 1."""
    if "execution_contracts" not in body:
        return "generation A"
    first, second = CHUNK_ALIGNMENT_V1 in contracts, CHUNK_ALIGNMENT_V2 in contracts
    if first or second:
        return "generation " + " and ".join(("B",) * first + ("C",) * second)
    return "generation B or C, without aligned chunks"


def _recognise_v1(link: PlainLink, path: str) -> Iterator[Recognised]:
    alive = link.tokens(_V1_ALIVE, timeout_s=TIMEOUT_S)
    shown = {key.deployment for key in _parsed(alive, parse_key)}
    named = [path] if is_segment(path) else []
    names = [*named, *sorted(shown - set(named))]  # what the operator names is asked, whoever else is there
    question = encode_message(MessageHead(MessageType.DESCRIBE, request_id=_REQUEST_ID), {})
    asked = {str(RemoteKey(RemotePlace.DESCRIBE, name)): name for name in names[:MOST_ASKED]}
    for key, name in (asked or {_V1_DESCRIBE: ""}).items():
        answers = _asked(link, key, question)
        yield from (judge_descriptor(answer, name) for answer in answers[:MOST_ASKED])
        if name in shown and not answers:
            silent = check_that("it answers describe", is_kept=False, got="silence")
            yield Recognised(_V1, "", f"the token of deployment {quoted(name, 80)}", (silent,))


def _recognise_draft(link: PlainLink, path: str) -> Iterator[Recognised]:
    alive = link.tokens(_DRAFT_ALIVE, timeout_s=TIMEOUT_S)
    shown = {str(DraftKey(DraftPlace.STATUS, key.service)) for key in _parsed(alive, parse_draft_key)}
    named = [str(key) for key in _parsed([f"@lerobot/{path}/status"], parse_draft_key)]
    for key in (*named, *sorted(shown - set(named)))[:MOST_ASKED] or (_DRAFT_STATUS,):
        answers = _asked(link, key, b"")
        yield from (judge_status(answer) for answer in answers[:MOST_ASKED])
        if key in shown and not answers:
            silent = check_that("it answers status", is_kept=False, got="silence")
            yield Recognised(_DRAFT, "", f"the token beside {quoted(key, 120)}", (silent,))


def _parsed(keys: Iterable[str], parse: Callable[[str], KeyT]) -> Iterator[KeyT]:
    """Yield what the keys are; those that are none of the protocol are left out."""
    for key in keys:
        with suppress(ProtocolError):
            yield parse(key)


def _asked(link: PlainLink, key: str, question: bytes) -> tuple[bytes, ...]:
    try:
        return link.query(key, question, timeout_s=TIMEOUT_S)
    except LinkError:
        return ()


OVER_ZENOH: Final = (_recognise_v1, _recognise_draft)
