"""Chunks on demand over a real router: a robot in motion does not change models."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from rollout_rig import Sway, serving
from vagus.edge.client.blocking import BlockingClient, ChunkRequest
from vagus.edge.client.discovery import Endpoint
from vagus.edge.config import EdgeConfig
from vagus.errors import SessionRefusedError, SpecError, VagusError
from vagus.integrations.lerobot.rollout.names import identity_of
from vagus.server.server import Server
from vagus.specs import CameraSpec, RobotSpec
from vagus.transport.router import Router
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig
from vagus.types import ActionChunk

FRAME = np.zeros((48, 64, 3), dtype=np.uint8)


class Other(Sway):
    """The same names and sizes, other weights: it goes elsewhere."""

    model_hash = "other"

    def actions(self, step: int) -> np.ndarray:
        return super().actions(step) + 50.0


@pytest.fixture
def endpoint() -> Iterator[str]:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:
        yield router.endpoints[0]


def remote(endpoint: str, **edge: object) -> BlockingClient:
    spec = Sway().spec
    robot = RobotSpec("lerobot", spec.actions, spec.state, (CameraSpec("front", 48, 64),), spec.rate_hz)
    config = EdgeConfig(**edge)  # type: ignore[arg-type]
    return BlockingClient(
        Endpoint(endpoint, "", ZenohConfig(), config), robot, identity_of("arm", {}), "sway"
    )


def ask(chunks: BlockingClient) -> ActionChunk:
    return chunks.ask(ChunkRequest(np.zeros(6, dtype=np.float32), {"front": FRAME}))


def errors_until_answered(chunks: BlockingClient, tries: int = 5) -> list[VagusError]:
    errors: list[VagusError] = []
    for _ in range(tries):
        try:
            ask(chunks)
        except VagusError as error:  # noqa: PERF203 - each try is a session
            errors.append(error)
        else:
            break
    return errors


def test_after_a_restart_with_other_weights_every_question_fails(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus.edge.client.blocking.REPLY_TIMEOUT_S", 0.5)
    chunks = remote(endpoint)
    with serving(endpoint, Sway()) as server:
        assert np.abs(ask(chunks).robot).max() < 20.0
        first = hash_of(server)
    with serving(endpoint, Other()) as server:
        errors = errors_until_answered(chunks)
        second = hash_of(server)
    chunks.close()
    assert len(errors) == 5, "a chunk of other weights was handed to the robot"
    assert isinstance(errors[-1], SpecError)
    assert first in str(errors[-1])
    assert second in str(errors[-1])


def test_after_a_restart_with_the_same_weights_it_goes_on(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus.edge.client.blocking.REPLY_TIMEOUT_S", 0.5)
    chunks = remote(endpoint)
    with serving(endpoint, Sway()):
        ask(chunks)
    with serving(endpoint, Sway()):
        assert len(errors_until_answered(chunks)) <= 1  # the one that was in flight
    chunks.close()


def test_beside_other_weights_the_same_are_found(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagus.edge.client.blocking.REPLY_TIMEOUT_S", 0.5)
    chunks = remote(endpoint)
    with serving(endpoint, Sway()):
        ask(chunks)
    with serving(endpoint, Other(), name="another"), serving(endpoint, Sway(), name="same"):
        assert len(errors_until_answered(chunks)) <= 1
    chunks.close()


def test_a_pinned_model_is_asked_for_from_the_first_contact_on(endpoint: str) -> None:
    with serving(endpoint, Other(), name="another"), serving(endpoint, Sway(), name="same") as server:
        pin = hash_of(server)[:10]
        assert np.abs(ask(remote(endpoint, pin_model=pin)).robot).max() < 20.0
        wrong = remote(endpoint, pin_model="0123456789ab")
        with pytest.raises(SessionRefusedError, match=r"wants 0123456789ab.*has [0-9a-f]{12}"):
            ask(wrong)


def hash_of(server: Server[dict[str, object]]) -> str:
    return server.capabilities().model_hash
