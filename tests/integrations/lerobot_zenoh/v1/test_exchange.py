"""Observations by the keys of a profile, what is told of the running plan, and the rows of an answer."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.errors import PolicyError, ProtocolError
from vagus.gateways.neutral import ForeignReply, Operation
from vagus.integrations.lerobot_zenoh.v1.alignment import reply_plan
from vagus.integrations.lerobot_zenoh.v1.exchange import foreign_request, foreign_rtc, rows_of
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.motion import FrameIdentity, RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding, RemotePicture, picture_of

NOISE = np.random.default_rng(3).integers(0, 255, (16, 24, 3), np.uint8)
ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)


def seen(task: str = "pick", picture: RemotePicture | None = None, **changed: object) -> RemoteObservation:
    fields: dict[str, object] = {
        "sequence": 1,
        "identity": FrameIdentity("a", "o", 0.0, task, 0),
        "features": {
            "observation.state": np.zeros(2, np.float32),
            "observation.images.front": picture or picture_of(NOISE),
        },
        **changed,
    }
    return RemoteObservation(**fields)  # type: ignore[arg-type] # by name


def test_an_observation_is_a_request_by_the_keys_of_the_wire() -> None:
    request = foreign_request(seen())
    assert request.operation is Operation.INFER
    assert set(request.observation) == {
        ("observation.state",), ("observation.images.front",), ("task",),
    }  # fmt: skip
    np.testing.assert_array_equal(request.arrays["observation.images.front",], NOISE)


def test_without_a_task_the_policy_takes_its_own() -> None:
    assert ("task",) not in foreign_request(seen(task="")).observation


def test_a_damaged_picture_is_refused() -> None:
    data = picture_of(NOISE, PictureEncoding.JPEG).data
    cut = RemotePicture(PictureEncoding.JPEG, 16, 24, bytes(data[: len(data) - 200]))
    with pytest.raises(ProtocolError, match="JPEG"):
        foreign_request(seen(picture=cut))


def test_a_plan_is_told_with_what_was_executed_since_the_frame() -> None:
    asked = seen(canonical_continuation=ROWS, cursor=9, observation_cursor=7, delay=3)
    rtc = foreign_rtc(asked, reply_plan(asked, InferenceMode.CHUNK, is_aligned=True))
    assert rtc is not None
    assert rtc.prefix is not None
    np.testing.assert_array_equal(rtc.prefix, ROWS)
    assert (rtc.elapsed, rtc.inference_delay) == (2, 5)


def test_of_a_plan_that_is_executed_to_its_end_nothing_can_be_changed() -> None:
    asked = seen(canonical_continuation=ROWS, cursor=9, delay=3)
    rtc = foreign_rtc(asked, reply_plan(asked, InferenceMode.CHUNK, is_aligned=False))
    assert rtc is not None
    assert (rtc.elapsed, rtc.inference_delay) == (0, 6)
    assert foreign_rtc(seen(), reply_plan(seen(), InferenceMode.CHUNK, is_aligned=False)) is None


def test_the_rows_are_those_of_the_action() -> None:
    np.testing.assert_array_equal(rows_of(ForeignReply({"action": ROWS.astype(np.float64)})), ROWS)
    for reply in (ForeignReply(), ForeignReply({"actions": ROWS}), ForeignReply({"action": ROWS[:0]})):
        with pytest.raises(PolicyError, match="wanted 'action', got none"):
            rows_of(reply)
