from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from integrations.lerobot_zenoh.draft.rig import PROFILE
from vagus.errors import PolicyError, ProtocolError
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath
from vagus.gateways.profile import ResizeRule
from vagus.integrations.lerobot_zenoh.draft.canonical import (
    PROTOCOL,
    draft_observation,
    foreign_request,
    foreign_rtc,
    rows_of_reply,
)
from vagus.integrations.lerobot_zenoh.draft.motion import DraftObservation
from vagus.integrations.lerobot_zenoh.draft.plan import DraftPlan
from vagus.integrations.lerobot_zenoh.draft.values import draft_picture

STATE = np.arange(3, dtype=np.float32)
FRONT = np.full((4, 6, 3), 7, np.uint8)
KEY: WirePath = ("observation.images.front",)
ROWS = np.ones((2, 3), np.float32)


def seen(**pictures: np.ndarray) -> DraftObservation:
    sent = {name.replace("__", "."): draft_picture(one, "raw") for name, one in pictures.items()}
    return DraftObservation(state=STATE, pictures=sent)


def test_only_what_the_profile_names_is_decompressed() -> None:
    values = foreign_request(seen(front=FRONT, top=np.zeros((9, 9, 3), np.uint8)), PROFILE).observation
    assert set(values) == {("observation.state",), KEY}  # and no empty instruction
    np.testing.assert_array_equal(np.asarray(values[KEY]), FRONT)


def test_a_picture_of_another_size_is_taken_only_if_it_may_be_scaled() -> None:
    larger = seen(front=np.zeros((5, 6, 3), np.uint8))
    with pytest.raises(ProtocolError, match="wanted at most 24 pixels"):
        foreign_request(larger, PROFILE)
    scaled = replace(PROFILE, images=(replace(PROFILE.images[0], resize=ResizeRule.PAD),))
    assert np.asarray(foreign_request(larger, scaled).observation[KEY]).shape == (5, 6, 3)


def test_a_camera_by_both_its_names_is_refused() -> None:
    with pytest.raises(ProtocolError, match="each camera once"):
        foreign_request(seen(front=FRONT, observation__images__front=FRONT), PROFILE)


def test_a_plan_is_told_with_a_delay_within_it() -> None:
    assert foreign_rtc(seen()) is None
    told = foreign_rtc(replace(seen(), prefix_robot=ROWS, inference_delay=9))
    assert told is not None
    assert (told.inference_delay, told.is_enabled) == (2, True)


@pytest.mark.parametrize("actions", [{}, {"other": ROWS}, {"action": ROWS[0]}, {"action": ROWS[:0]}])
def test_a_reply_without_rows_is_an_error(actions: dict[str, np.ndarray]) -> None:
    with pytest.raises(PolicyError, match="actions: wanted 'action'"):
        rows_of_reply(ForeignReply(actions))


def test_a_request_comes_back_as_it_was() -> None:
    asked = DraftObservation(state=STATE, pictures={KEY[0]: draft_picture(FRONT, "raw")}, task="go")  # type: ignore[dict-item] # a text
    request = foreign_request(asked, PROFILE)
    plan = DraftPlan(-ROWS, ROWS, 1)
    back = draft_observation(request, plan, is_episode_start=True, codec="raw")
    assert (back.task, back.inference_delay, back.is_episode_start) == ("go", 1, True)
    assert back.prefix_model is plan.model
    assert back.prefix_robot is plan.robot
    np.testing.assert_array_equal(back.state, STATE)
    np.testing.assert_array_equal(back.pictures["observation.images.front"].pixels(max_pixels=24), FRONT)
    with pytest.raises(ProtocolError, match=r"wanted observation\.state"):
        draft_observation(
            ForeignRequest(Operation.INFER, Envelope(PROTOCOL)), is_episode_start=False, codec="raw"
        )
