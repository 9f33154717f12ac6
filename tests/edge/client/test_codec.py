from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from edge.rig import EPOCH, FRAMES, MS, POLICY, actions_of, draft
from vagus.edge.client.codec import RequestCoding, encode_request, request_bytes, request_seed
from vagus.edge.client.inflight import Request
from vagus.errors import RobotError, SpecError
from vagus.specs import CameraSpec, DepthCameraSpec, PolicySpec
from vagus.types import DepthImage, Fared, Image, Prefix, Snapshot
from vagus.wire.codec import decode, decode_header, decode_tensor
from vagus.wire.depth import decode_depth
from vagus.wire.images import decode_image
from vagus.wire.schema import Header, ImageMessage, Kind, ObservationMessage

CODING = RequestCoding(codec="raw", instruction="reach", seed=99)


def encoded(
    *, prefix: Prefix | None = None, images: Mapping[str, Image] = FRAMES, fared: Fared | None = None
) -> tuple[Header, ObservationMessage]:
    made = replace(
        draft(episode=3, step=12, captured_ns=77, slack_ns=250 * MS, prefix=prefix, inference_delay=4),
        prefix_horizon=10,
        fared=fared or Fared(),
    )
    request = Request(EPOCH, 5, made, 0, 0, network_ns=7 * MS)
    header, body = encode_request(request, Snapshot(made, images), POLICY, CODING)
    return decode_header(header), decode(body, ObservationMessage)


def test_a_request_says_all_that_the_policy_must_know() -> None:
    prefix = Prefix(actions_of(12, 6, 3), actions_of(12, 6))
    header, body = encoded(prefix=prefix)
    assert header == Header(Kind.OBSERVATION, 5, 3, 77, EPOCH)
    assert (body.step, body.episode_start, body.instruction, body.seed) == (12, True, "reach", 99)
    assert (body.inference_delay, body.prefix_horizon) == (4, 10)
    assert (body.slack_ms, body.network_ms) == (250.0, 7.0)
    assert (body.played_steps, body.starved_steps, body.oldest_age_ms) == (0, 0, 0.0)
    assert body.prefix_robot is not None
    assert body.prefix_model is not None
    assert decode_tensor(body.prefix_robot, shape=(6, 2), name="robot").tolist() == prefix.robot.tolist()
    assert decode_tensor(body.prefix_model, shape=(6, 3), name="model").tolist() == prefix.model.tolist()
    frame = decode_image(body.images["front"], max_pixels=100)
    assert np.array_equal(frame, FRAMES["front"])


def test_without_a_prefix_none_is_sent() -> None:
    _, body = encoded()
    assert body.prefix_model is None
    assert body.prefix_robot is None


def test_only_frames_that_the_policy_looks_at_are_sent() -> None:
    _, body = encoded(images={**FRAMES, "spare": FRAMES["front"]})
    assert list(body.images) == ["front"]


def test_a_missing_frame_is_an_error_that_names_it() -> None:
    with pytest.raises(RobotError, match="front"):
        encoded(images={})


def test_a_frame_that_the_policy_can_do_without_may_be_missing() -> None:
    made = draft()
    policy = replace(POLICY, cameras=(*POLICY.cameras, CameraSpec("top", 4, 6, is_required=False)))
    _, body = encode_request(Request(EPOCH, 1, made, 0, 0), Snapshot(made, FRAMES), policy, CODING)
    assert list(decode(body, ObservationMessage).images) == ["front"]


DEEP = replace(POLICY, depth_cameras=(DepthCameraSpec("deep", 2, 3),))
MEASURED = np.array([[0, 1, 65535], [812, 813, 814]], np.uint16)


def encoded_depth(
    depth: Mapping[str, DepthImage], *, codec: str = "raw", policy: PolicySpec = DEEP
) -> ObservationMessage:
    made = draft()
    coding = replace(CODING, codec=codec)
    _, body = encode_request(Request(EPOCH, 1, made, 0, 0), Snapshot(made, FRAMES, depth), policy, coding)
    return decode(body, ObservationMessage)


@pytest.mark.parametrize(("codec", "wanted"), [("raw", "raw"), ("jpeg", "delta"), ("png", "delta")])
def test_depth_is_sent_without_loss_whatever_the_codec_of_the_pictures(codec: str, wanted: str) -> None:
    sent = encoded_depth({"deep": MEASURED, "spare": MEASURED}, codec=codec).depth
    assert [*sent] == ["deep"]
    assert sent["deep"].codec == wanted
    assert np.array_equal(decode_depth(sent["deep"], height=2, width=3), MEASURED)


def test_a_policy_without_depth_never_gets_any() -> None:
    assert encoded_depth({"deep": MEASURED}, policy=POLICY).depth == {}


def test_missing_depth_is_an_error_that_names_it_unless_the_policy_can_do_without() -> None:
    with pytest.raises(RobotError, match=r"no frame of depth camera \['deep'\]; got \[\]"):
        encoded_depth({})
    relaxed = replace(DEEP, depth_cameras=(DepthCameraSpec("deep", 2, 3, is_required=False),))
    assert encoded_depth({}, policy=relaxed).depth == {}


def test_the_bytes_of_a_request_count_its_depth() -> None:
    plain = request_bytes([(4, 6)], "raw")
    assert request_bytes([(4, 6)], "raw", depth=[(480, 640)]) == plain + 480 * 640 * 2
    assert request_bytes([], "jpeg", depth=[(480, 640)]) == request_bytes([], "jpeg") + 480 * 640


def test_a_frame_that_is_no_picture_is_refused() -> None:
    with pytest.raises(SpecError, match="uint8 RGB"):
        encoded(images={"front": np.zeros((4, 6), dtype=np.uint8)})


def test_frames_of_less_quality_take_fewer_bytes() -> None:
    rows, columns = np.indices((64, 64), dtype=np.uint8)
    frame = np.dstack((4 * rows, 4 * columns, 37 * rows ^ 59 * columns))
    made, sizes = draft(), []
    for quality in (95, 90, 30):
        coding = replace(CODING, codec="jpeg", jpeg_quality=quality)
        _, body = encode_request(
            Request(EPOCH, 1, made, 0, 0), Snapshot(made, {"front": frame}), POLICY, coding
        )
        sizes.append(len(decode(body, ObservationMessage).images["front"].data))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[2]


def test_seeds_differ_between_requests_and_repeat_with_the_run() -> None:
    seeds = [request_seed(12345, number) for number in range(1000)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 1 << 64 for seed in seeds)
    assert seeds == [request_seed(12345, number) for number in range(1000)]


def test_a_seed_is_so_many_strides_after_that_of_the_run_in_64_bits() -> None:
    stride = 0x9E3779B97F4A7C15
    assert request_seed(12345, 1) == 12345 + stride
    assert request_seed(12346, 1) == 12346 + stride
    assert request_seed((1 << 64) - 1, 1) == stride - 1


@pytest.mark.parametrize(("codec", "frames"), [("raw", 360_000), ("png", 180_000), ("jpeg", 20_000)])
def test_a_request_is_estimated_by_the_pixels_of_its_frames(codec: str, frames: int) -> None:
    assert request_bytes([(200, 300), (300, 200)], codec) == (64 << 10) + frames
    assert request_bytes([], codec) == 64 << 10


@pytest.mark.parametrize(("codec", "handed_over"), [("raw", []), ("jpeg", [1])])
def test_only_compressed_frames_are_handed_over_to_other_threads(codec: str, handed_over: list[int]) -> None:
    seen = []

    def encode_all(work: Callable[[Image], ImageMessage], frames: Iterable[Image]) -> Iterable[ImageMessage]:
        given = list(frames)
        seen.append(len(given))
        return map(work, given)

    made = draft()
    coding = replace(CODING, codec=codec, encode_all=encode_all)
    _, body = encode_request(Request(EPOCH, 1, made, 0, 0), Snapshot(made, FRAMES), POLICY, coding)
    assert decode(body, ObservationMessage).images["front"].codec == codec
    assert seen == handed_over


def test_a_request_says_how_the_robot_fared_since_the_last_one() -> None:
    _, body = encoded(fared=Fared(played_steps=12, starved_steps=3, oldest_age_ns=480 * MS))
    assert (body.played_steps, body.starved_steps, body.oldest_age_ms) == (12, 3, 480.0)
