"""What one client, one policy or one disk may do to the other robots: nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from server.raw_client import IMAGE, PATIENCE_S, SPEC, CountingPolicy, serving
from vagus.errors import ConfigError, PolicyError
from vagus.policies.policy import Row
from vagus.server.config import ServeConfig
from vagus.server.session_requests import OPEN_BURST
from vagus.specs import ActionFeature, StateFeature
from vagus.transport.link import Delivery
from vagus.types import ActionChunk
from vagus.wire.images import encode_image
from vagus.wire.schema import MAX_REASON, ImageMessage, TensorMessage, WireAction, WireCamera

COLD = ServeConfig(warm_up=False)


def quoting(text: str) -> CountingPolicy:
    class Quoting(CountingPolicy):
        def _answer(self, row: Row[list[int]]) -> ActionChunk | PolicyError:
            if float(row.observation.state[0]) == -9.0:
                return PolicyError(text)
            return super()._answer(row)

    return Quoting()


HOSTILE_TEXTS = {
    "long": "y" * 3_000_000,
    "wide": "😀" * 1_000_000,
    "surrogate": "cannot read 'weights-\udce9.bin'",
    "controls": "\x1b[2J\n\x00\u202e" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_whatever_a_policy_says_of_one_row_the_robot_is_told_and_the_others_go_on(
    name: str, tmp_path: Path
) -> None:
    config = ServeConfig(warm_up=False, audit_path=tmp_path / "audit.jsonl")
    with serving(config, quoting(HOSTILE_TEXTS[name])) as stand:
        good, bad = stand.opened("good"), stand.opened("bad")
        for _ in range(3):
            reply = bad.ask(-9.0)
            assert reply.event is not None
            assert reply.event.message.isprintable()
            assert good.ask(1.0).chunk is not None
    assert (tmp_path / "audit.jsonl").stat().st_size < 100_000


HOSTILE_REQUESTS: dict[str, dict[str, object]] = {
    "a camera of a long name": {"images": {"x" * 1_100_000: encode_image(IMAGE, "raw")}},
    "many cameras": {"images": {f"{number}": encode_image(IMAGE, "raw") for number in range(32)}},
    "a long instruction": {"instruction": "z" * 1_100_000},
    "a long trace": {"traceparent": "0" * 1_100_000},
    "nine dimensions": {"state": TensorMessage("<f4", (1,) * 9, memoryview(bytes(4)))},
    "a long dtype": {"state": TensorMessage("<" * 100_000, (1,), memoryview(bytes(4)))},
    "a long codec": {"images": {"front": ImageMessage("c" * 100_000, 8, 12, memoryview(b""))}},
}


@pytest.mark.parametrize("name", HOSTILE_REQUESTS)
@pytest.mark.parametrize("config", [COLD, ServeConfig(warm_up=False, pin_task=True)], ids=["", "pinned"])
def test_whatever_is_in_a_request_it_is_refused_and_the_pool_goes_on(name: str, config: ServeConfig) -> None:
    with serving(config) as stand:
        good, bad = stand.opened("good"), stand.opened("bad")
        for _ in range(config.decode_workers + 1):
            reply = bad.ask(1.0, changes=HOSTILE_REQUESTS[name])
            assert reply.event is not None
            assert len(reply.event.message) <= MAX_REASON
        assert good.ask(1.0).chunk is not None
        assert stand.server._threads.ended == ""


HOSTILE_OPENS: dict[str, dict[str, object]] = {
    "many actions": {"actions": tuple(WireAction(name=f"{n:0256d}", unit="1") for n in range(1024))},
    "many cameras": {"cameras": tuple(WireCamera(name=f"{n:0256d}", height=1, width=1) for n in range(32))},
    "a long instruction": {"instruction": "z" * 500_000},
    "long tags": {"tags": {f"{n}": "t" * 10_000 for n in range(64)}},
    "a long robot": {"robot_type": "r" * 900_000},
    "controls": {"policy_type": "\x1b[2J\n" * 10},
}


@pytest.mark.parametrize("name", HOSTILE_OPENS)
def test_whatever_is_in_an_open_it_is_answered_in_few_words(name: str) -> None:
    with serving() as stand:
        good = stand.opened("good")
        ack = stand.client("bad").try_open(**HOSTILE_OPENS[name])
        assert not ack.accepted
        assert ack.error.isprintable()
        assert len(ack.error) <= MAX_REASON
        assert good.ask(1.0).chunk is not None


def test_a_request_larger_than_its_frames_have_reason_to_be_is_refused_unread() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        client.seq += 1
        client.send_bytes(bytes(5 << 20))
        reply = client.receive()
        assert reply.code == "invalid_input"
        assert reply.event is not None
        assert "at most" in reply.event.message
        assert client.ask(1.0).values == [1.0, 1.0]


def test_a_thread_that_ends_is_noticed_by_probes_and_by_robots() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        assert client.status().failing == ""
        ended = stand.server._threads.make("vagus-decode-7", lambda: (_ for _ in ()).throw(SystemExit))
        ended.start()
        ended.join(PATIENCE_S)
        assert "vagus-decode-7" in client.status().failing


def test_who_opens_without_end_is_told_so() -> None:
    with serving() as stand:
        flood = stand.client("flood")
        codes = {flood.try_open().code for _ in range(OPEN_BURST + 30)}
        assert codes == {"", "overloaded"}
        assert stand.client("honest").try_open().accepted


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.longdouble, np.int32])
def test_a_policy_may_give_numbers_of_any_kind(kind: type[np.generic]) -> None:
    class Other(CountingPolicy):
        def _answer(self, row: Row[list[int]]) -> ActionChunk | PolicyError:
            chunk = super()._answer(row)
            assert isinstance(chunk, ActionChunk)
            return ActionChunk(chunk.step, chunk.model.astype(kind), chunk.robot.astype(kind))

    with serving(ServeConfig(), Other()) as stand:
        reply = stand.opened("arm").ask(1.0)
        assert reply.chunk is not None
        assert reply.chunk.chunk_robot.dtype == "<f4"


def test_a_policy_whose_chunks_cannot_travel_is_not_served() -> None:
    class Endless(CountingPolicy):
        spec = dataclasses.replace(SPEC, horizon=2_000_000)

    says = r"at most 8388608 bytes, got 32001024 \(2000000 actions of 2 \+ 2"
    with (
        pytest.raises(PolicyError, match=says),
        serving(ServeConfig(warm_up=False), Endless()),
    ):
        pass


def test_a_policy_that_robots_cannot_be_told_of_is_not_served() -> None:
    class Wordy(CountingPolicy):
        spec = dataclasses.replace(SPEC, default_instruction="count " * 10_000)

    with (
        pytest.raises(PolicyError, match="cannot be sent to robots"),
        serving(COLD, Wordy()),
    ):
        pass


@pytest.mark.parametrize("setting", ["audit_path", "capture_dir"])
def test_a_file_that_cannot_be_written_is_said_at_the_start(setting: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    config = ServeConfig(warm_up=False, **{setting: tmp_path / "file" / "x"})  # type: ignore[arg-type]
    with (
        pytest.raises(ConfigError, match=f"{setting}: wanted a place that can be written, got .*file"),
        serving(config),
    ):
        pass


def test_a_name_longer_than_any_that_is_given_is_nobodys() -> None:
    with serving() as stand:
        path = f"{stand.server.key.path}/{'n' * 60_000}"
        link = stand.network.link("bad")
        for _ in range(3):
            link.token(f"{path}/i1/alive")
            link.publish(f"{path}/obs", header=bytes(27), payload=b"", delivery=Delivery.OBSERVATION)
        assert stand.server._reception.sessions._table._tokens == set()
        assert stand.opened("good").ask(1.0).chunk is not None


def test_a_policy_of_names_without_end_is_not_served() -> None:
    class Wide(CountingPolicy):
        names = tuple(ActionFeature(f"{number} {chr(0x1F916) * 240}", "1") for number in range(1024))
        spec = dataclasses.replace(
            SPEC, actions=names, state=tuple(StateFeature(a.name, "1") for a in names), model_dim=1024
        )

    with pytest.raises(PolicyError, match="cannot be sent to robots"), serving(COLD, Wide()):
        pass
