"""A session as an MCAP file: what the library's own reader finds in it, and what ours does."""

from __future__ import annotations

import importlib
import json
import signal
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mcap")
pytest.importorskip("jsonschema")

import jsonschema
import msgspec
from mcap.reader import NonSeekingReader, make_reader

from recording.rig import STATE, command, contract, draft, image, ranges, settled
from recording.test_recorder import small_disk as small_disk
from vagus.control.config import RecorderConfig
from vagus.control.mapping import OrderMapping
from vagus.demo.robot import SimRobot
from vagus.errors import ConfigError, ProtocolError
from vagus.integrations.mcap import schemas
from vagus.integrations.mcap.messages import FoxgloveImage
from vagus.integrations.mcap.recording import McapSession
from vagus.recording.lines import ChunkLine, StepLine
from vagus.recording.reader import read
from vagus.recording.recorder import Recorder
from vagus.recording.registry import Run, open_recording
from vagus.recording.session import Json, RecordedSession
from vagus.recording.session_folder import SessionFolder
from vagus.recording.sink import SessionSink
from vagus.specs import ActionFeature, PolicySpec, StateFeature
from vagus.types import Command, LinkState, MotionState, Provenance

PATIENCE_S = 30.0
BEGAN = datetime(2026, 11, 26, 12, 0, 0, 250_000, tzinfo=timezone.utc)
COLUMNS = ("t_ns", "epoch", "seq", "episode", "step", "index", "age_ms", "is_moving", "action", "state")
DESCRIPTION: dict[str, Json] = {
    "format": 2,
    "began": {"utc": BEGAN.isoformat(), "monotonic_ns": 1_000},
    "name": "arm-1",
    "action_features": [{"name": "a", "unit": "rad"}, {"name": "b", "unit": "m"}],
    "state_features": [{"name": "a", "unit": "rad"}, {"name": "a.velocity", "unit": "rad/s"}],
}


def record(sink: SessionSink) -> None:
    """Record three commands, two chunks and two frames."""
    recorder = Recorder(sink, RecorderConfig(flush_s=0.05)).start()
    where = Provenance(None, None, 1, None, None, None, LinkState.DEGRADED, MotionState.FALLBACK)
    recorder.record_step(2_000, command(4), STATE)
    recorder.record_step(3_000, command(5), np.array([np.nan, 1.5], dtype=np.float32))
    recorder.record_step(4_000, Command(None, where), STATE)
    recorder.record_chunk(2_000, settled(3))
    recorder.record_chunk(4_000, settled(4, "too_late"))
    recorder.record_images(draft(3), {"top": image(), "wrist/left": image()}, {"range": ranges()})
    recorder.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    record(McapSession(tmp_path / "session.mcap", DESCRIPTION))
    return tmp_path / "session.mcap"


def messages(path: Path) -> list[tuple[str, str, bytes, int]]:
    """Return topic, schema, data and time of every message, by the library's own reader, checked."""
    found = []
    with path.open("rb") as file:
        for schema, channel, message in make_reader(file, validate_crcs=True).iter_messages():
            assert schema is not None
            assert (schema.encoding, channel.message_encoding) == ("jsonschema", "json")
            jsonschema.validate(json.loads(message.data), json.loads(schema.data))
            found.append((channel.topic, schema.name, message.data, message.log_time))
    return found


def test_the_librarys_reader_finds_every_message_valid_under_foxgloves_schemas(path: Path) -> None:
    counts = Counter((topic, schema) for topic, schema, _, _ in messages(path))
    assert counts == {
        ("/session", "vagus.Session"): 1,
        ("/commands", "vagus.Command"): 3,
        ("/joint_states", "foxglove.JointStates"): 3,
        ("/joint_commands", "foxglove.JointStates"): 2,
        ("/log", "foxglove.Log"): 2,
        ("/chunks", "vagus.Chunk"): 2,
        ("/camera/top", "foxglove.CompressedImage"): 1,
        ("/camera/wrist/left", "foxglove.CompressedImage"): 1,
        ("/depth/range", "foxglove.CompressedImage"): 1,
    }


def test_messages_have_the_time_of_day_of_what_they_tell(path: Path) -> None:
    at = (BEGAN - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) * 1000
    times = {topic: time for topic, _, _, time in messages(path)}
    assert times["/session"] == at
    assert times["/joint_commands"] == at + 2_000
    joints = [json.loads(data) for topic, _, data, _ in messages(path) if topic == "/joint_states"]
    assert joints[0] == {
        "timestamp": {"sec": at // 10**9, "nsec": at % 10**9 + 1_000},
        "joints": [{"name": "a", "position": 0.5, "velocity": -0.5}],
    }
    assert joints[1]["joints"] == [{"name": "a", "velocity": 1.5}]


def test_the_log_tells_changes_of_link_and_motion(path: Path) -> None:
    logs = [json.loads(data) for topic, _, data, _ in messages(path) if topic == "/log"]
    assert [(one["level"], one["message"]) for one in logs] == [
        (2, "episode 1, link streaming, motion playing"),
        (3, "link streaming → degraded, motion playing → fallback"),
    ]


def test_the_index_of_the_file_is_whole(path: Path) -> None:
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == len(messages(path)) == 16
        assert summary.statistics.channel_count == len(summary.channels) == 9
        (kept,) = reader.iter_metadata()
    assert kept.name == "vagus.summary"
    assert json.loads(kept.metadata["json"])["recorder"]["steps"] == 3


@pytest.mark.parametrize("is_private", [True, False])
def test_the_file_is_the_owners_unless_others_may_read_it(tmp_path: Path, is_private: bool) -> None:
    session = McapSession(tmp_path / "runs" / "one.mcap", DESCRIPTION, is_private=is_private)
    session.close({})
    assert ((session.path.stat().st_mode & 0o077) == 0) is is_private
    assert ((session.path.parent.stat().st_mode & 0o077) == 0) is is_private
    with pytest.raises(ConfigError, match="recorder directory"):
        McapSession(session.path, DESCRIPTION)


def test_the_format_is_chosen_by_its_name(tmp_path: Path) -> None:
    robot = SimRobot()
    names = tuple(feature.name for feature in robot.spec.actions)
    policy = PolicySpec(
        "p",
        tuple(ActionFeature(name, "rad") for name in names),
        tuple(StateFeature(name, "rad") for name in names),
        (),
        10,
        6,
        20.0,
    )
    config = RecorderConfig(directory=str(tmp_path), format="mcap")
    run = Run("sim", "arm-1", "reach", {})
    opened = open_recording(config, run, robot, OrderMapping(robot.spec, policy), contract(policy))
    assert isinstance(opened.recorder, Recorder)
    opened.recorder.close()
    assert opened.place.endswith(".mcap")
    session = read(opened.place)
    assert (session.info.robot, session.info.policy, session.warnings) == (robot.spec, policy, ())
    with pytest.raises(ConfigError, match=r"name one of the 1 sessions in it, newest last: .*\.mcap"):
        read(tmp_path)


def test_our_reader_finds_what_it_finds_in_a_folder(path: Path, tmp_path: Path) -> None:
    record(SessionFolder(tmp_path / "folder", DESCRIPTION))
    assert_alike(read(path), read(tmp_path / "folder"))


def assert_alike(left: RecordedSession, right: RecordedSession) -> None:
    assert left.warnings == right.warnings == ()
    assert (left.info, left.summary) == (right.info, right.summary)
    for name in (
        "t_ns",
        "epoch",
        "seq",
        "episode",
        "step",
        "index",
        "age_ms",
        "is_moving",
        "action",
        "state",
    ):
        np.testing.assert_array_equal(getattr(left.steps, name), getattr(right.steps, name))
    assert (left.steps.link, left.steps.motion) == (right.steps.link, right.steps.motion)
    assert left.steps.limited == right.steps.limited
    assert len(left.chunks) == len(right.chunks) == 2
    for ours, theirs in zip(left.chunks, right.chunks, strict=True):
        assert (ours.outcome, ours.next_step, ours.ticket) == (
            theirs.outcome,
            theirs.next_step,
            theirs.ticket,
        )
        np.testing.assert_array_equal(ours.robot, theirs.robot)
    assert len(left.frames) == len(right.frames) == 3
    np.testing.assert_array_equal(left.frames[0].load(), ranges())
    for ours_, theirs_ in zip(left.frames, right.frames, strict=True):
        assert (ours_.ticket, ours_.captured_ns) == (theirs_.ticket, theirs_.captured_ns)
        np.testing.assert_array_equal(ours_.load(), theirs_.load())


@pytest.mark.parametrize(
    ("schema", "kind"),
    [(schemas.COMMAND, StepLine), (schemas.CHUNK, ChunkLine), (schemas.IMAGE, FoxgloveImage)],
)
def test_a_schema_has_the_fields_of_its_message(
    schema: dict[str, object], kind: type[msgspec.Struct]
) -> None:
    assert list(schema["properties"]) == [field.name for field in msgspec.structs.fields(kind)]  # type: ignore[call-overload]


@pytest.mark.parametrize("lost", [1, 9, 200])
def test_a_file_without_its_index_is_whole(path: Path, lost: int) -> None:
    path.write_bytes(path.read_bytes()[:-lost])
    session = read(path)
    assert (len(session.steps), len(session.chunks), len(session.frames)) == (3, 2, 3)
    assert session.warnings == ()


def test_a_file_that_is_cut_off_gives_what_is_before(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b'"frame_id":"wrist/left"')])
    session = read(path)
    assert (len(session.steps), session.info.robot_name) == (3, "arm-1")
    assert [frame.camera for frame in session.frames] == ["top"]
    assert "the file is cut off" in session.warnings


def test_every_prefix_of_a_file_is_read_or_refused(path: Path) -> None:
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        try:
            session = read(path)
        except ConfigError:
            continue
        assert len(session.steps) in (0, 3)


def test_any_flipped_byte_costs_at_most_what_it_is_part_of(path: Path) -> None:
    content = path.read_bytes()
    random = np.random.default_rng(7)
    for at in random.integers(8, len(content), 300):
        damaged = bytearray(content)
        damaged[at] ^= int(random.integers(1, 256))
        path.write_bytes(damaged)
        try:
            session = read(path)
            for frame in session.frames:
                frame.load()
        except (ConfigError, ProtocolError):
            continue
        assert len(session.steps) <= 3


def test_a_chunk_that_would_grow_without_bound_is_not_decompressed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zstandard, grown = importlib.import_module("zstandard"), list[int]()

    theirs = zstandard.ZstdDecompressor

    class Watched:
        def decompress(self, data: bytes, max_output_size: int) -> bytes:
            found: bytes = theirs().decompress(data, max_output_size=max_output_size)
            grown.append(len(found))
            return found

    monkeypatch.setattr(zstandard, "ZstdDecompressor", Watched)
    bomb = zstandard.compress(bytes(1 << 30))
    sizes = struct.pack("<QQQI", 0, 0, 100, 0)
    chunk = sizes + struct.pack("<I4sQ", 4, b"zstd", len(bomb)) + bomb
    content = path.read_bytes()
    at = content.index(b"\x06", 8 + 40 + (32 << 10))
    path.write_bytes(content[:at] + struct.pack("<BQ", 6, len(chunk)) + chunk + content[at:])
    session = read(path)
    assert (len(session.steps), len(session.frames)) == (3, 3)
    assert "1 parts of the file are damaged and left out" in session.warnings
    assert 0 < max(grown) < 1 << 20


def added(path: Path, *bodies: bytes) -> RecordedSession:
    """Return what is read of a file without its end, with these further chunks, compressed."""
    zstandard, content = importlib.import_module("zstandard"), b""
    for body in bodies:
        data = zstandard.compress(body)
        chunk = struct.pack("<QQQII4sQ", 0, 0, len(body), 0, 4, b"zstd", len(data)) + data
        content += struct.pack("<BQ", 6, len(chunk)) + chunk
    whole = path.read_bytes()
    begin = whole.index(b"\x06", 8 + 40 + (32 << 10))
    path.write_bytes(whole[:begin] + whole[begin : whole.rindex(struct.pack("<BQI", 15, 4, 0))] + content)
    return read(path)


def message(channel: int, data: bytes) -> bytes:
    return struct.pack("<BQHIQQ", 5, 22 + len(data), channel, 0, 0, 0) + data


def test_a_file_that_grows_without_bound_is_read_up_to_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus.integrations.mcap.reading.GROWTH_FREE_BYTES", 1 << 20)
    session = added(path, *[message(1, bytes(8 << 20))] * 10)
    assert (len(session.steps), len(session.chunks)) == (3, 2)
    assert [warning for warning in session.warnings if "it grows without bound" in warning]


def test_messages_that_are_too_long_or_too_deep_cost_only_themselves(path: Path) -> None:
    deep = b'{"unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    far = json.dumps(dict.fromkeys(("episode", "step", "ticket", "captured_ns"), 10**30)).encode()
    before = read(path)
    numbers = range(1, 10)  # of channels: whatever they are of, nothing else is lost
    session = added(path, *[message(n, data) for n in numbers for data in (deep, far, b" " * (9 << 20))])
    assert (len(session.steps), len(session.chunks), len(session.frames)) == (3, 2, len(before.frames))
    assert [warning for warning in session.warnings if "messages cannot be read" in warning]


def test_there_are_most_frames(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagus.integrations.mcap.reading.MAX_FRAMES", 1)
    session = read(path)
    assert len(session.frames) == 1
    assert "2 frames left out (too many)" in session.warnings


def test_damaged_bytes_cost_the_part_that_holds_them(path: Path) -> None:
    content = bytearray(path.read_bytes())
    top = read(path).frames[1]
    at = content.rindex(b'"frame_id":"wrist/left"')
    content[at + 60] ^= 0xFF
    path.write_bytes(content)
    session = read(path)
    assert [frame.camera for frame in session.frames] == ["range", "top"]
    assert any("damaged" in warning for warning in session.warnings)
    content[:] = b"\x00" * len(content)
    path.write_bytes(content)
    with pytest.raises(ProtocolError, match="the frame that was there"):
        top.load()


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.mcap"
    other.write_bytes(b"PK" + bytes(100))
    with pytest.raises(ConfigError, match="wanted an MCAP file"):
        read(other)
    writer = importlib.import_module("mcap.writer").Writer(str(other))
    writer.start()
    writer.add_message(writer.register_channel("/tf", "json", 0), 0, b"{}", 0)
    writer.finish()
    with pytest.raises(ConfigError, match=r"wanted an MCAP file that vagus has recorded, got .*/tf"):
        read(other)


def test_without_the_package_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("mcap", "vagus.integrations.mcap"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcap", None)
    with pytest.raises(ConfigError, match=r'pip install "vagus\[mcap\]"'):
        read(path)


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from integrations.mcap.test_recording import DESCRIPTION
from recording.rig import STATE, command, contract, draft, image
from vagus.control.config import RecorderConfig
from vagus.integrations.mcap.recording import McapSession
from vagus.recording.recorder import Recorder
recorder = Recorder(McapSession(Path(sys.argv[1]), DESCRIPTION), RecorderConfig(flush_s=0.1)).start()
step = 0
while True:
    recorder.record_step(step, command(step), STATE)
    if step % 20 == 0:
        recorder.record_images(draft(step), {"top": image(64)}, {})
    step += 1
    if recorder.counters["steps"] > 200:
        print("ready", flush=True)
    time.sleep(0.001)
"""


@pytest.mark.process
def test_after_kill_9_the_file_is_read_by_ours_and_by_the_librarys_reader(tmp_path: Path) -> None:
    path, tests = tmp_path / "session.mcap", str(Path(__file__).parents[2])
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path), tests], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE_S)
    session = read(path)
    assert session.steps.step.tolist() == list(range(len(session.steps)))
    assert len(session.steps) > 200
    assert session.frames[0].load().shape == (64, 64, 3)
    assert session.summary is None
    topics = Counter(topic for topic in topics_of(path))
    assert topics["/commands"] == len(session.steps)


def topics_of(path: Path) -> Iterator[str]:
    """Yield the topics of a file without an index, read in its order."""
    with path.open("rb") as file:
        try:
            for _, channel, _ in NonSeekingReader(file).iter_messages(log_time_order=False):
                yield channel.topic
        except importlib.import_module("mcap.exceptions").McapError as error:
            assert type(error).__name__ == "EndOfFile"  # noqa: PT017 - the end is not written


def test_on_a_really_full_disk_every_chunk_can_be_read_and_the_losses_are_told(small_disk: Path) -> None:
    session = McapSession(small_disk / "session.mcap", DESCRIPTION)
    recorder = Recorder(session, RecorderConfig(max_waiting_steps=50, flush_s=0.05)).start()
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    step = 0
    while not (recorder.counters["steps_dropped"] and recorder.counters["images_dropped"]):
        recorder.record_step(step, command(step), STATE)
        recorder.record_images(draft(step), {"top": noise}, {})
        step += 1
        recorder._stopping.wait(0.0005)
    recorder.close()
    found = read(session.path)
    assert len(found.steps) == recorder.counters["steps"] > 0
    assert len(found.frames) == recorder.counters["images"] > 0
    assert found.frames[-1].load().shape == noise.shape
    assert found.summary is not None
    dropped = [warning for warning in found.warnings if "dropped" in warning]
    assert len(dropped) == 2
    assert sum(recorder.counters[name] for name in ("steps", "steps_dropped")) == step


def test_a_write_that_the_disk_cuts_short_is_taken_back(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = McapSession(tmp_path / "other.mcap", DESCRIPTION)
    os_module = importlib.import_module("os")
    write = os_module.write
    lines: Sequence[StepLine] = [StepLine.of(2_000, command(4), STATE)]
    with monkeypatch.context() as patch:
        patch.setattr(os_module, "write", lambda file, content: write(file, content[:30]))
        with pytest.raises(OSError, match="took 30"):
            session.write_steps(lines)
    session.write_steps(lines)
    session.close({"recorder": {}})
    session.close({"recorder": {"steps": 9}})
    assert len(messages(session.path)) == 5
    assert read(session.path).summary == {"recorder": {}}
