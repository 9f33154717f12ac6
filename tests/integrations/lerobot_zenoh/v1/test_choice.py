"""Which server of a deployment is asked first, and what must stay the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remote_server import DEPLOYMENT, deployment_of
from vagus.errors import ConfigError, ProtocolError
from vagus.integrations.lerobot_zenoh.v1.choice import (
    Wish,
    candidates,
    check_accepted,
    open_request,
    said_by,
)
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment, DeploymentStatus
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.opening import granted

WISH = Wish(DEPLOYMENT)


def server(name: str, artifact: str = "sha256:a", *, is_available: bool = True) -> Deployment:
    """Return one server of the deployment."""
    deployment = deployment_of(("pan",), rate_hz=30.0, steps=4, artifact=artifact, instance_id=name)
    return replace(deployment, status=DeploymentStatus(is_available=is_available))


def ids(*found: Deployment, wish: Wish = WISH) -> list[str]:
    return [one.instance_id for one in candidates(found, wish)]


def test_a_free_server_comes_before_an_occupied_one_and_the_one_that_failed_last() -> None:
    one, two, three = server("1"), server("2", is_available=False), server("3")
    assert ids(one, two, three) == ["1", "3", "2"]
    assert ids(one, two, three, wish=replace(WISH, avoided="1")) == ["3", "2", "1"]
    assert ids(one, wish=replace(WISH, avoided="1")) == ["1"]


def test_only_ready_servers_and_only_the_one_that_is_named() -> None:
    assert ids(server("1"), replace(server("2"), is_ready=False)) == ["1"]
    assert ids(server("1"), server("2"), wish=replace(WISH, instance="2")) == ["2"]
    assert ids(server("1"), wish=replace(WISH, instance="2")) == []


def test_a_robot_in_motion_stays_with_its_artifact() -> None:
    wish = replace(WISH, said=said_by(server("1")))
    assert ids(server("0", "sha256:b"), server("2"), wish=wish) == ["2"]
    assert ids(server("0", "sha256:b"), wish=wish) == ["0"]  # it is seen, and refused


@pytest.mark.parametrize(
    "other",
    [
        replace(server("1"), artifact_identity="sha256:b"),
        replace(server("1"), semantics="degrees"),
        replace(server("1"), capabilities=deployment_of(("pan",), rate_hz=30.0, steps=5).capabilities),
    ],
)
def test_artifact_meaning_and_capabilities_are_who_a_server_is(other: Deployment) -> None:
    assert said_by(server("1")) == said_by(server("2", is_available=False))
    assert said_by(other) != said_by(server("1"))


def test_guided_chunking_is_taken_where_it_is_offered_and_nothing_else_is_wanted() -> None:
    both = deployment_of(
        ("pan",), rate_hz=30.0, steps=4, modes=(InferenceMode.CHUNK, InferenceMode.RTC_GUIDED)
    )
    assert open_request(both, WISH).mode is InferenceMode.RTC_GUIDED
    assert open_request(both, replace(WISH, mode="chunk")).mode is InferenceMode.CHUNK
    trained = deployment_of(("pan",), rate_hz=30.0, steps=4, modes=(InferenceMode.RTC_TRAINED,))
    with pytest.raises(ConfigError, match="--options inference_mode"):
        open_request(trained, WISH)  # what a model was trained for, its operator knows


@pytest.mark.parametrize("generation", ["A", "B", "C"])
def test_what_is_asked_is_granted_by_a_server_of_each_generation(generation: str) -> None:
    for modes in ((InferenceMode.CHUNK,), (InferenceMode.RTC_GUIDED,)):
        deployment = deployment_of(
            ("pan",), rate_hz=30.0, steps=4, generation=generation, modes=modes, model_dim=3
        )
        if generation != "C" and modes != (InferenceMode.CHUNK,):
            continue  # they have no rows of the model's own width
        request = open_request(deployment, WISH)
        check_accepted(granted(request, deployment), request, deployment)


def test_a_session_that_was_not_asked_for_is_refused() -> None:
    deployment = server("1")
    request = open_request(deployment, WISH)
    accepted = granted(request, deployment)
    others = [
        AcceptedSession(server("2"), accepted.mode, accepted.chunk_settings),
        AcceptedSession(server("1", "sha256:b"), accepted.mode, accepted.chunk_settings),
        replace(accepted, mode=InferenceMode.RTC_GUIDED),
    ]
    for other in others:
        with pytest.raises(ProtocolError, match="another session"):
            check_accepted(other, request, deployment)
