"""What must never reach the engine, and what must never stop the worker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edge.rig import HORIZON, STATE, chunk_payload, echo
from edge.stand import CONFIG, Body, Script, StepPolicy, opened, served, wait_until
from vagus.clock import NS_PER_S, monotonic_ns
from vagus.edge.client.exchange import DraftFailed
from vagus.edge.client.worker import MAX_SAMPLES
from vagus.transport.memory import MemoryLink, MemoryNetwork
from vagus.types import LinkState, MotionState
from vagus.wire.codec import encode, encode_tensor
from vagus.wire.schema import ChunkMessage, EventCode, Header, Kind, ObservationMessage

EAGER = replace(CONFIG, execute_horizon=1)
"""Asks for the next chunk after every action."""


def epochs(body: Body) -> set[int]:
    return {d.provenance.epoch for d in body.directives if d.provenance.epoch is not None}


def wide_payload(value: float, width: int) -> Callable[[int], bytes]:
    def make(step: int) -> bytes:
        robot = np.full((HORIZON, width), value, dtype=np.float32)
        model = np.zeros((HORIZON, 3), dtype=np.float32)
        return encode(
            ChunkMessage(
                step=step,
                chunk_model=encode_tensor(model),
                chunk_robot=encode_tensor(robot),
                valid_len=HORIZON,
            )
        )

    return make


@pytest.mark.parametrize(
    ("make", "counter"),
    [
        (wide_payload(np.nan, 2), "rejected_not_finite"),
        (wide_payload(777.0, 3), "rejected_shape"),
        (lambda _: b"garbage", "rejected_malformed"),
        (lambda step: chunk_payload(step + 1), "rejected_step"),
    ],
)
def test_a_bad_chunk_is_counted_and_never_commanded(
    network: MemoryNetwork, link: MemoryLink, make: Callable[[int], bytes], counter: str
) -> None:
    server = Script(network)
    with opened(link, EAGER) as body:
        body.until_merged()
        server.answer = lambda header, message: server.say(echo(header), make(message.step))
        body.until(lambda: body.count(counter) > 0)
        server.answer = server.good
        body.until_merged()
        assert body.count("worker_errors") == 0
        for directive in body.directives:
            assert (
                directive.knot is None
                or directive.knot.tolist() == [float(directive.provenance.step or 0)] * 2
            )


@pytest.mark.parametrize(
    ("forge", "counter"),
    [
        (lambda h: Header(Kind.CHUNK, h.seq, h.episode, h.client_mono_ns, h.epoch + 7), "misrouted"),
        (lambda h: Header(Kind.CHUNK, h.seq + 5, h.episode, h.client_mono_ns, h.epoch), "unknown_seq"),
        (lambda h: Header(Kind.CHUNK, h.seq, h.episode + 1, h.client_mono_ns, h.epoch), "wrong_echo"),
        (lambda h: Header(Kind.CHUNK, h.seq, h.episode, h.client_mono_ns + 1, h.epoch), "wrong_echo"),
        (lambda h: h, "unexpected_kind"),
    ],
)
def test_a_reply_that_is_not_ours_is_counted_and_never_commanded(
    network: MemoryNetwork, link: MemoryLink, forge: Callable[[Header], Header], counter: str
) -> None:
    server = Script(network)

    def answer(header: Header, message: ObservationMessage) -> None:
        server.say(forge(header), wide_payload(777.0, 2)(message.step))
        server.good(header, message)

    server.answer = answer
    with opened(link, EAGER) as body:
        body.until_merged(3)
        assert body.count(counter) >= 3
        assert all(d.knot is None or d.knot[0] != 777.0 for d in body.directives)


def test_a_duplicate_is_counted_and_merged_once(network: MemoryNetwork, link: MemoryLink) -> None:
    server = Script(network)
    network.set_duplicate(lambda sample: sample.key.endswith("/chunk"))
    with opened(link, EAGER) as body:
        body.until_merged(3)
        body.until(lambda: body.count("duplicated") >= 3)
        assert body.count("merged") <= len(server.seen)


def test_a_chunk_of_an_older_epoch_never_reaches_the_engine(network: MemoryNetwork, link: MemoryLink) -> None:
    server = Script(network)
    with opened(link, EAGER) as body:
        body.until_merged()
        late: list[tuple[Header, ObservationMessage]] = []
        server.answer = lambda header, message: late.append((header, message))
        body.until(lambda: bool(late))
        link.cut()
        link.heal()
        server.answer = server.good
        body.until_merged()
        server.say(echo(late[0][0]), wide_payload(777.0, 2)(late[0][1].step))
        body.until(lambda: body.count("old_epoch") > 0)
        body.until_merged()
        assert all(d.knot is None or d.knot[0] != 777.0 for d in body.directives)


def test_a_chunk_of_a_previous_process_of_the_same_name_never_reaches_the_engine(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    late: list[tuple[Header, ObservationMessage]] = []
    server.answer = lambda header, message: late.append((header, message))
    with opened(link, EAGER) as before:
        before.until(lambda: bool(late))
    server.answer = server.good
    with opened(link, EAGER, instance="2b4c") as body:
        server.say(echo(late[0][0]), wide_payload(777.0, 2)(late[0][1].step))
        body.until_merged(2)
        body.until(lambda: body.count("misrouted") > 0)
        assert epochs(body) == {server.epoch}
        assert all(d.knot is None or d.knot[0] != 777.0 for d in body.directives)


def test_a_reply_that_races_a_reset_is_counted_and_never_commanded(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    with opened(link, EAGER) as body:
        body.until_merged()
        late: list[tuple[Header, ObservationMessage]] = []
        server.answer = lambda header, message: late.append((header, message))
        body.until(lambda: bool(late))
        body.engine.reset()
        server.say(echo(late[0][0]), wide_payload(777.0, 2)(late[0][1].step))
        body.until(lambda: body.count("old_episode") > 0)
        server.answer = server.good
        body.until_merged()
        assert all(d.knot is None or d.knot[0] != 777.0 for d in body.directives)


def test_a_reset_is_announced_and_carried_by_the_next_observation(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    with opened(link) as body:
        body.until_merged()
        body.engine.reset()
        body.until_merged()
        assert [(r.epoch, r.episode) for r in server.resets] == [(server.epoch, 1)]
        header, message = server.seen[-1]
        assert (header.episode, message.step, message.episode_start) == (1, 0, True)
        assert body.count("resets_unacknowledged") == 0


def test_a_reset_whose_announcement_is_lost_is_carried_all_the_same(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    with opened(link) as body:
        body.until_merged()
        server.is_hung = True
        body.engine.reset()
        body.until(lambda: body.count("resets_unacknowledged") == 1)
        server.is_hung = False
        body.until_merged()
        assert server.seen[-1][1].episode_start


def test_a_true_server_begins_a_new_episode_once(network: MemoryNetwork, link: MemoryLink) -> None:
    policy = StepPolicy()
    with served(network.link(), policy=policy), opened(link) as body:
        body.until_merged()
        before = policy.boundaries
        body.engine.reset()
        body.until_merged()
        assert policy.boundaries == before + 1
        assert body.directives[-1].provenance.episode == 1


def test_a_flood_of_garbage_neither_stops_the_worker_nor_crowds_out_snapshots(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    is_over = threading.Event()

    def flood() -> None:
        while not is_over.is_set():
            for _ in range(4 * MAX_SAMPLES):
                server.say_raw(b"junk", b"junk")
            is_over.wait(0.001)

    with opened(link, EAGER) as body:
        body.until_merged()
        flooder = threading.Thread(target=flood)
        flooder.start()
        try:
            body.until(lambda: body.count("inbox_full") > 0)
            requests = body.count("requests")
            body.until(lambda: body.count("requests") > requests)
        finally:
            is_over.set()
            flooder.join()
        body.until_merged()
        assert body.count("rejected_malformed") > 0
        assert body.count("worker_errors") == 0


def test_a_camera_that_gives_no_frame_is_counted_and_asked_again(
    network: MemoryNetwork, link: MemoryLink, caplog: pytest.LogCaptureFixture
) -> None:
    Script(network)
    with opened(link) as body:
        frames, body.images = body.images, {}
        body.until(lambda: body.count("drafts_failed") >= 2)
        assert "front" in caplog.text
        body.images = frames
        body.until_merged()
        assert body.count("worker_errors") == 0


def test_frames_travel_in_the_quality_that_is_set(network: MemoryNetwork, link: MemoryLink) -> None:
    server = Script(network)
    sizes = []
    for quality in (20, 95):
        with opened(link, replace(CONFIG, jpeg_quality=quality), instance=f"{quality}") as body:
            body.images = {"front": np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)}
            body.until_merged()
        frame = server.seen[-1][1].images["front"]
        assert frame.codec == "jpeg"
        sizes.append(len(frame.data))
    assert sizes[1] > 2 * sizes[0]


def test_a_draft_that_failed_is_asked_for_again(network: MemoryNetwork, link: MemoryLink) -> None:
    Script(network)
    with opened(link) as body:
        wait_until(lambda: body.engine.link_view.ticket > 0)
        body.engine.advance(monotonic_ns(), STATE)
        draft = body.engine.take_draft()
        assert draft is not None
        body.client.draft_failed(draft.ticket)
        body.until_merged()
        assert body.count("drafts_failed") == 1


def test_ten_unexpected_errors_in_a_row_are_the_end(
    network: MemoryNetwork, link: MemoryLink, caplog: pytest.LogCaptureFixture
) -> None:
    Script(network)
    with opened(link) as body:
        body.until_merged()
        for _ in range(CONFIG.max_worker_errors):
            body.client._worker.post(FAILING)
        body.until(lambda: body.engine.motion is MotionState.STOPPED)
        assert body.engine.link is LinkState.DEAD
        assert "10 worker errors in a row" in body.client.status().dead_reason
        assert body.count("worker_errors") == CONFIG.max_worker_errors
    assert "out of luck" in caplog.text


class Unlucky(int):
    """A ticket that cannot be compared."""

    __hash__ = int.__hash__

    def __ne__(self, other: object) -> bool:
        raise RuntimeError("out of luck")


FAILING = DraftFailed(Unlucky(1))
"""An event that the worker fails on."""


def test_a_merge_between_errors_forgives_them(network: MemoryNetwork, link: MemoryLink) -> None:
    Script(network)
    with opened(link, replace(EAGER, max_worker_errors=3)) as body:
        for _ in range(4):
            body.until_merged()
            wait_until(lambda: body.client._worker._errors_in_row == 0)
            body.client._worker.post(FAILING)
            body.client._worker.post(FAILING)
        body.until_merged()
        assert body.engine.link is not LinkState.DEAD


def test_a_server_that_only_refuses_is_left_for_another(network: MemoryNetwork, link: MemoryLink) -> None:
    one, two = Script(network, "one"), Script(network, "two")
    with opened(link, EAGER) as body:
        body.until_merged()
        first, second = (one, two) if one.opens else (two, one)
        first.answer = first.event(EventCode.OVERLOADED)
        body.until(lambda: body.client.status().server == second.key.server)
        assert body.count("event_overloaded") == 2
        body.until_merged()
        body.until(lambda: body.client.status().said == "")
        assert [str(refusal) for refusal in body.client.status().refusals] == ['overloaded ×2: "why"']


def test_what_a_server_refuses_with_is_told_once_with_its_words(
    network: MemoryNetwork, link: MemoryLink, caplog: pytest.LogCaptureFixture
) -> None:
    server = Script(network)
    with opened(link, EAGER) as body:
        body.until_merged()
        server.answer = server.event(EventCode.POLICY_ERROR)
        body.until(lambda: body.count("sessions_lost") == 1)
        assert body.client.status().said == "policy_error: why"
    told = [record.getMessage() for record in caplog.records if "refused a request" in record.getMessage()]
    assert told == ["server one refused a request: policy_error: why"]
    assert "5 requests in a row refused, the last with policy_error: why" in caplog.text


def test_an_ack_that_contradicts_itself_is_tried_again(network: MemoryNetwork, link: MemoryLink) -> None:
    server = Script(network)
    with opened(link, EAGER) as body:
        body.until_merged()
        good, server.epoch = server.epoch, 1 << 40
        link.cut()
        link.heal()
        body.until(lambda: len(server.opens) >= 3)
        server.epoch = good + 1
        body.until_merged()
        assert body.engine.link is LinkState.STREAMING


def test_what_a_request_asked_for_is_known_as_long_as_its_plan_may_be_played(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    with served(network.link()), opened(link, EAGER) as body:
        body.until_merged()
        first = body.directives[-1].provenance
        body.client.set_instruction("fold")
        body.until_merged(80)
        last = body.directives[-1].provenance
        assert (first.epoch, first.seq) != (None, None)
        assert body.client.instruction_of(last.epoch or 0, last.seq or 0) == "fold"
        assert body.client.instruction_of(first.epoch or 0, first.seq or 0) is None  # too long ago
        assert body.client.instruction_of(last.epoch or 0, (last.seq or 0) + 100) is None


def test_a_lost_server_is_replaced_during_a_pause_which_burns_no_patience(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    with opened(link, replace(CONFIG, max_offline_s=1.0)) as body:
        body.until_merged()
        body.engine.pause(monotonic_ns())
        server.vanish()
        wait_until(lambda: body.client.status().link is LinkState.RECONNECTING)
        for hours in (1, 2):
            body.engine.advance(monotonic_ns() + hours * 3600 * NS_PER_S, STATE)
        assert body.engine.motion is MotionState.PAUSED
        other = Script(network, "two")
        wait_until(lambda: body.client.status().link is LinkState.STREAMING)  # nobody resumed
        assert len(other.opens) == 1
        assert body.engine.motion is MotionState.PAUSED
        body.engine.resume(monotonic_ns())
        body.until_merged()
        assert body.directives[-1].motion is MotionState.PLAYING
