"""Where the target is, found in pictures alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vagus.demo.arm import CAMERAS, HOME, LOWER, UPPER, Floats, random_target
from vagus.demo.scene import Scene
from vagus.demo.vision import CLEAR, MOVED_M, Sighting, TargetMemory, locate
from vagus.errors import PolicyError
from vagus.types import Image
from vagus.wire.images import decode_image, encode_image

SCENE = Scene()
ASIDE = np.array([2.2, -0.7, 0.3, 0.0, 0.0, 0.0])
PLACE = np.array([0.35, 0.1, 0.2])


def through_jpeg(frames: dict[str, Image]) -> dict[str, Image]:
    return {
        name: decode_image(encode_image(frame, "jpeg"), max_pixels=640 * 480)
        for name, frame in frames.items()
    }


def situations(count: int) -> list[tuple[Floats, Floats]]:
    generator = np.random.default_rng(11)
    return [(generator.uniform(LOWER, UPPER), random_target(generator)) for _ in range(count)]


def sighting(place: Floats, clearness: float) -> Sighting:
    return Sighting(place, clearness)


@pytest.mark.parametrize("is_jpeg", [False, True])
def test_a_target_is_found_within_a_centimetre_in_any_posture_that_does_not_hide_it(is_jpeg: bool) -> None:
    hidden = 0
    for joints, target in situations(200):
        frames = SCENE.draw(joints, target)
        seen = locate(through_jpeg(frames) if is_jpeg else frames)
        if seen is None or seen.clearness < CLEAR:
            hidden += 1
            continue
        assert np.linalg.norm(seen.place - target) < 0.01
    assert hidden < 30


def test_red_taken_for_blue_is_no_target() -> None:
    frames = SCENE.draw(ASIDE, PLACE)
    assert locate(frames) is not None
    assert locate({name: frame[..., ::-1] for name, frame in frames.items()}) is None


def test_a_target_seen_by_one_camera_only_has_no_place() -> None:
    frames = SCENE.draw(ASIDE, PLACE)
    frames["top"] = np.zeros_like(frames["top"])
    assert locate(frames) is None


def test_rays_that_do_not_meet_are_no_target() -> None:
    frames = SCENE.draw(ASIDE, PLACE)
    frames["top"] = SCENE.draw(ASIDE, np.array([0.3, -0.35, 0.1]))["top"]
    assert locate(frames) is None


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.spec.name)
def test_a_picture_that_is_missing_or_of_another_size_is_told(
    camera: object,
) -> None:
    name = next(known.spec.name for known in CAMERAS if known is camera)
    frames = SCENE.draw(ASIDE, PLACE)
    with pytest.raises(PolicyError, match=rf"'{name}': wanted \(480, 640, 3\), got \(240, 640, 3\)"):
        locate({**frames, name: frames[name][::2]})
    del frames[name]
    with pytest.raises(PolicyError, match=rf"'{name}': wanted \(480, 640, 3\), got none"):
        locate(frames)


# memory


def test_what_was_never_seen_is_nowhere() -> None:
    assert TargetMemory().update(None) is None


def test_a_hidden_target_stays_where_it_was_seen_best() -> None:
    memory = TargetMemory()
    memory.update(sighting(PLACE, 1.0))
    for worse in (None, sighting(PLACE + 0.01, 0.3)):
        np.testing.assert_array_equal(memory.update(worse), PLACE)
    better = sighting(PLACE + 0.005, 0.95)
    np.testing.assert_array_equal(memory.update(better), better.place)


def test_a_better_view_replaces_a_worse_one() -> None:
    memory = TargetMemory()
    memory.update(sighting(PLACE + 0.02, 0.4))
    np.testing.assert_array_equal(memory.update(sighting(PLACE, 0.5)), PLACE)


def test_a_target_that_has_moved_is_believed_even_if_seen_badly() -> None:
    memory = TargetMemory()
    memory.update(sighting(PLACE, 1.0))
    moved = replace(sighting(PLACE, 0.3), place=PLACE + np.array([2 * MOVED_M, 0.0, 0.0]))
    np.testing.assert_array_equal(memory.update(moved), moved.place)


def test_forgetting_forgets() -> None:
    memory = TargetMemory()
    memory.update(sighting(PLACE, 1.0))
    memory.forget()
    assert memory.update(None) is None


def test_it_is_seen_from_home_too() -> None:
    seen = locate(SCENE.draw(HOME, PLACE))
    assert seen is not None
    assert np.linalg.norm(seen.place - PLACE) < 0.01
