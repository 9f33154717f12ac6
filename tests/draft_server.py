"""A server of LeRobot's remote inference draft, written from the facts about it.

Silence is all that it says of an error: an unknown client, another schema version, a policy that fails. The
last open of a uuid wins. A prefix that is shorter than the execution horizon is filled with zeros.
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment, DraftMessage
from vagus.integrations.lerobot_zenoh.draft.keys import DraftKey, DraftPlace, DraftService, key_expression
from vagus.integrations.lerobot_zenoh.draft.keys import parse_draft_key as parsed
from vagus.integrations.lerobot_zenoh.draft.motion import DraftObservation
from vagus.integrations.lerobot_zenoh.draft.sessions import (
    DraftAck,
    DraftClose,
    DraftOpened,
    DraftReset,
    decode_session_request,
)
from vagus.integrations.lerobot_zenoh.draft.status import DraftModel, DraftStatus
from vagus.transport.link import Declaration, Delivery, Query, Sample
from vagus.transport.plain_link import PlainLink

GARBAGE = b"\xc1 this is no msgpack"
MODEL_REPO, REVISION, TASK = "lerobot/smolvla_base", "main", "pick the cube"
SERVICE = DraftService("lerobot-smolvla_base", REVISION, "pick-the-cube")
Act = Callable[[DraftObservation], NDArray[np.float32]]


def model_of(
    names: tuple[str, ...], *, steps: int, revision: str = REVISION, rtc: int | None = None
) -> DraftModel:
    """Return what the server says that it serves."""
    return DraftModel(
        model_repo=MODEL_REPO,
        model_revision=revision,
        policy_type="smolvla",
        action_names=names,
        expected_cameras=(),
        state_dim=len(names),
        chunk_size=steps,
        trained_fps=30.0,
        supports_rtc=rtc is not None,
        rtc_execution_horizon=rtc,
    )


@dataclass
class Seen:
    """One observation as the server's policy sees it."""

    head: DraftAttachment
    body: DraftObservation
    prefix: NDArray[np.float32] | None


@dataclass
class DraftServer:
    """Serves one model until it is stopped.

    Attributes:
        link: the network.
        model: what is served.
        act: the policy: rows (n, action_dim) in the robot's units, which are the model's times -1.
        wish: returns a word that decides how observations are answered.
        max_sessions: clients at most.
    """

    link: PlainLink
    model: DraftModel
    act: Act
    wish: Callable[[], str] = lambda: ""
    max_sessions: int = 5
    sessions: dict[str, str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    resets: list[int] = field(default_factory=list)
    opens: int = 0
    _work: queue.SimpleQueue[tuple[str, DraftAttachment, bytes]] = field(default_factory=queue.SimpleQueue)
    _declared: list[Declaration] = field(default_factory=list)

    def start(self) -> None:
        """Serve from now on."""
        threading.Thread(target=self._infer, daemon=True).start()
        named = (SERVICE.model, SERVICE.revision, SERVICE.task)
        link = self.link
        self._declared += [
            link.subscribe(key_expression(DraftPlace.OBSERVATION, *named), self._observe),
            link.serve(key_expression(DraftPlace.STATUS, *named), self._status),
            link.serve(key_expression(DraftPlace.SESSION, *named), self._session),
            link.serve(key_expression(DraftPlace.RESET, *named), self._reset),
            link.watch(key_expression(DraftPlace.CLIENT_ALIVE, *named), self._note_token),
            link.token(str(DraftKey(DraftPlace.SERVER_ALIVE, SERVICE))),
        ]

    def stop(self) -> None:
        """Take everything back, as a process that ends."""
        for declared in self._declared:
            declared.undeclare()
        self._declared.clear()
        self.sessions.clear()

    def _status(self, query: Query) -> None:
        status = DraftStatus(
            model=self.model, active_sessions=len(self.sessions), max_sessions=self.max_sessions
        )
        query.reply(GARBAGE if self.wish() == "garbage status" else status.encode())

    def _session(self, query: Query) -> None:
        asked = decode_session_request(query.payload)
        if isinstance(asked, DraftClose):
            is_its_own = self.sessions.get(asked.client) == asked.session_id
            self.sessions.pop(asked.client if is_its_own else "", None)
            return query.reply(DraftAck("" if is_its_own else "unknown session").encode())
        error = ""
        if asked.action_names != self.model.action_names:
            error = "action names differ"
        if asked.client not in self.sessions and len(self.sessions) >= self.max_sessions:
            error = f"capacity {len(self.sessions)}/{self.max_sessions}"
        if not error:
            self.opens += 1
            self.sessions[asked.client] = secrets.token_hex(16)
        session_id = "" if error else self.sessions[asked.client]
        model = self.model
        if self.wish() == "another model":
            model = replace(model, action_names=model.action_names[::-1])
        return query.reply(DraftOpened(model=model, session_id=session_id, error=error).encode())

    def _reset(self, query: Query) -> None:
        asked = DraftReset.decode(query.payload)
        self.resets.append(asked.episode)
        query.reply(DraftAck("" if asked.client in self.sessions else "unknown client").encode())

    def _note_token(self, token: str, is_alive: bool) -> None:
        key = parsed(token)
        if not is_alive and key.place is DraftPlace.CLIENT_ALIVE:
            self.sessions.pop(key.client, None)

    def _observe(self, sample: Sample) -> None:
        client = parsed(sample.key).client
        try:
            head = DraftAttachment.decode(sample.header)
        except ProtocolError:
            return
        if client in self.sessions:
            self._work.put((client, head, sample.payload))

    def _infer(self) -> None:
        while True:
            client, head, payload = self._work.get()
            body = DraftObservation.decode(payload)
            self.seen.append(Seen(head, body, self._padded(body.prefix_model)))
            try:
                rows = self.act(body)
            except ValueError:
                continue
            answer = GARBAGE if self.wish() == "garbage" else _chunk(head, rows)
            if self.wish() == "nil":
                answer = _chunk(head, None)
            given = (
                head.answered()
                if self.wish() != "other"
                else DraftAttachment(
                    DraftMessage.CHUNK, head.sequence + 1, head.episode, head.client_ns, head.epoch
                )
            )
            self.link.publish(
                str(DraftKey(DraftPlace.ACTION, SERVICE, client)),
                header=given.encode(),
                payload=answer,
                delivery=Delivery.CHUNK,
            )

    def _padded(self, prefix: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        if prefix is None:
            return None
        lacking = max((self.model.rtc_execution_horizon or 0) - len(prefix), 0)
        return np.concatenate([prefix, np.zeros((lacking, prefix.shape[1]), np.float32)])


def _chunk(head: DraftAttachment, rows: NDArray[np.float32] | None) -> bytes:
    """Return a chunk's bytes, also of numbers that no good server sends."""

    def array(values: NDArray[np.float32] | None) -> object:
        if values is None:
            return None
        return {"dtype": "<f4", "shape": list(values.shape), "data": values.astype("<f4").tobytes()}

    said = {
        "seq_id_echo": head.sequence,
        "client_mono_ns_echo": head.client_ns,
        "episode_id_echo": head.episode,
        "chunk_model": array(None if rows is None else -rows),
        "chunk_robot": array(rows),
        "queue_wait_ms": 0.0,
        "inference_ms": 1.0,
        "superseded_seqs": 0,
        "server_load": 0.2,
    }
    return msgspec.msgpack.encode(said)
