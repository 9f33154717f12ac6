"""What accepted robots may do to a server on purpose, and what an honest robot beside them feels of it."""

from __future__ import annotations

import itertools
import queue
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from fuzz import png_of_rows
from process.rig import Rig, check_safe, outcome_of
from vagus.cli.child import Child
from vagus.errors import LinkError
from vagus.transport.keys import ALL_SERVERS_ALIVE, ServerKey, server_from_key
from vagus.transport.link import Delivery, Sample
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.wire.codec import decode, encode, encode_header, encode_tensor
from vagus.wire.images import encode_image
from vagus.wire.schema import (
    Ack,
    Capabilities,
    Header,
    ImageMessage,
    Kind,
    ObservationMessage,
    OpenMessage,
    ResetMessage,
    SessionRequest,
    WireAction,
    WireCamera,
)

ANSWER_S = 2.0
"""An attacker waits no longer for an answer."""
MAX_GROWTH_MB = 400.0
"""Two requests of each of eight attackers, and what the allocator keeps."""
PIXELS = (1200, 1920)
"""The largest frame that a server takes by default."""


class Attacker:
    """An accepted client that says on the wire whatever it likes."""

    def __init__(self, link: ZenohLink, server: ServerKey, name: str) -> None:
        self.link = link
        self.keys = server.client(name)
        (answer,) = link.query(server.status, b"", timeout_s=5.0)
        self.said = decode(answer, Capabilities)
        self.instance = secrets.token_hex(4)
        self.replies: queue.SimpleQueue[Sample] = queue.SimpleQueue()
        self.epoch = self.seq = self.episode = 0
        link.token(self.keys.alive(self.instance))
        link.subscribe(self.keys.chunk, self.replies.put)
        self.frame = (8, 8)
        self.open()

    def open_message(self, **changes: object) -> OpenMessage:
        height, width = self.frame
        cameras = tuple(msgspec.structs.replace(c, height=height, width=width) for c in self.said.cameras)
        message = OpenMessage(
            instance=self.instance,
            robot_type="raw",
            actions=self.said.actions,
            state=self.said.state,
            cameras=cameras,
            rate_hz=self.said.rate_hz,
        )
        return msgspec.structs.replace(message, **changes)

    def open(self, **changes: object) -> None:
        """Ask for a session, and use it if it is given."""
        request = SessionRequest(open=self.open_message(**changes))
        ack = decode(self.ask(self.keys.session, request), Ack)
        if ack.accepted:
            self.epoch, self.seq, self.episode = ack.epoch, 0, 0

    def ask(self, key: str, message: msgspec.Struct) -> bytes:
        (answer,) = self.link.query(key, encode(message), timeout_s=ANSWER_S)
        return answer

    def observation(self, **changes: object) -> bytes:
        height, width = self.frame
        frame = encode_image(np.zeros((height, width, 3), np.uint8), "jpeg")
        message = ObservationMessage(
            state=encode_tensor(np.zeros(len(self.said.state), np.float32)),
            images={camera.name: frame for camera in self.said.cameras},
        )
        return encode(msgspec.structs.replace(message, **changes))

    def send(self, payload: bytes, *, waits: bool = True) -> None:
        """Send an observation, and wait for what it is answered with."""
        self.seq += 1
        header = Header(Kind.OBSERVATION, self.seq, self.episode, 7, self.epoch)
        self.link.publish(
            self.keys.observation,
            header=encode_header(header),
            payload=payload,
            delivery=Delivery.OBSERVATION,
        )
        if waits:
            try:
                self.replies.get(timeout=ANSWER_S)
            except queue.Empty:
                self.open()


Step = Callable[[Attacker], None]


def _names(attacker: Attacker) -> Step:
    payload = attacker.observation(
        images={"x" * 1_100_000: encode_image(np.zeros((8, 8, 3), np.uint8), "raw")}
    )

    def step(client: Attacker) -> None:
        client.send(payload)
        client.open()

    return step


def _repeated(payload: bytes) -> Step:
    return lambda client: client.send(payload)


def _traces(attacker: Attacker) -> Step:
    return _repeated(attacker.observation(traceparent="0" * 24_000_000))


def _words(attacker: Attacker) -> Step:
    return _repeated(attacker.observation(instruction="\x1b[2J" * 250_000))


def _rows(attacker: Attacker) -> Step:
    return _repeated(attacker.observation(instruction="explode"))


def _opens(attacker: Attacker) -> Step:
    rng = random.Random(0)
    letters = [f"left_arm_joint_{number:04d}.pos" for number in range(1024)]
    names = ["".join(rng.sample(name, len(name))) + f"{at}" for at, name in enumerate(letters)]
    cameras = tuple(WireCamera(name=f"{number:0200d}", height=8, width=8) for number in range(32))
    actions = tuple(WireAction(name=name, unit="rad") for name in names)
    return lambda client: client.open(actions=actions, cameras=cameras)


def _large(attacker: Attacker, frame: ImageMessage) -> Step:
    attacker.frame = (frame.height, frame.width)
    attacker.open()
    return _repeated(attacker.observation(images={camera.name: frame for camera in attacker.said.cameras}))


def _png(attacker: Attacker, shape: tuple[int, int], kind: int) -> Step:
    height, width = shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 0] = kind
    png = png_of_rows(rows.tobytes(), height, width)
    return _large(attacker, ImageMessage("png", height, width, memoryview(png)))


def _jpegs(attacker: Attacker) -> Step:
    noise = np.random.default_rng(0).integers(0, 256, (*PIXELS, 3), dtype=np.uint8)
    return _large(attacker, encode_image(noise, "jpeg"))


def _questions(attacker: Attacker) -> Step:
    status = attacker.keys.server.status

    def step(client: Attacker) -> None:
        client.link.query(status, b"", timeout_s=ANSWER_S)

    return step


def _flood(attacker: Attacker) -> Step:
    payload = attacker.observation()

    def step(client: Attacker) -> None:
        for _ in range(50):
            client.send(payload, waits=False)

    return step


def _resets(attacker: Attacker) -> Step:
    key = attacker.keys.reset

    def step(client: Attacker) -> None:
        client.episode += 1
        client.ask(key, ResetMessage(epoch=client.epoch, episode=client.episode))

    return step


@dataclass(frozen=True)
class Attack:
    """What clients do over and over.

    Attributes:
        clients: how many do it.
        prepare: returns a step for a client.
        pause_s: between the steps of each.
    """

    clients: int
    prepare: Callable[[Attacker], Step]
    pause_s: float = 0.0


ATTACKS = {
    "names of a megabyte": Attack(2, _names),
    "words to be quoted": Attack(2, _words),
    "rows that raise": Attack(2, _rows),
    "opens of 1024 names": Attack(2, _opens),
    "opens, six a second": Attack(1, _opens, 1 / 6),
    "PNGs that go by the pixel": Attack(8, lambda client: _png(client, (281, 8192), 4)),
    "PNGs, the largest that pass": Attack(8, lambda client: _png(client, PIXELS, 1), 0.2),
    "JPEGs, the largest that pass": Attack(8, _jpegs, 0.2),
    "traces of 24 MB": Attack(1, _traces),
    "questions about the status": Attack(1, _questions),
    "observations without end": Attack(2, _flood, 0.02),
    "resets without end": Attack(2, _resets),
}


@dataclass
class Felt:
    """What an honest robot and the server felt of an attack.

    Attributes:
        starved_s: seconds without a plan.
        before_mb: memory of the server before.
        peak_mb: its largest during the attack.
        steps: of all attackers.
        unsafe: what was wrong with the robot's run.
    """

    starved_s: float
    before_mb: float
    peak_mb: float
    steps: int = 0
    unsafe: str = ""
    errors: list[str] = field(default_factory=list)


def resident_mb(pid: int) -> float:
    """Return the memory of a process that is its own, without what Zenoh maps of clients on this host."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def start_server(rig: Rig) -> Child:
    """Start the server that is attacked: two cameras, an audit, and a policy of 5 ms."""
    audit = str(rig.folder / "audit" / "audit.jsonl")
    return rig.serve("a", "--audit-path", audit, options=("cameras", "True"))


def felt(rig: Rig, server: Child, name: str, seconds: float) -> Felt:
    """Run an honest robot for so long beside the attack of this name ("": none)."""
    before_mb = resident_mb(server.pid)
    seen = Felt(0.0, before_mb, before_mb)
    attack = ATTACKS.get(name, Attack(0, _flood))
    robot = rig.run(f"honest-{next(_numbers)}", "--duration-s", str(seconds))
    with attacking(rig, attack, seen):
        while robot.exit_code is None:
            seen.peak_mb = max(seen.peak_mb, resident_mb(server.pid))
            time.sleep(0.1)
    outcome = outcome_of(robot)
    try:
        check_safe(outcome)
    except AssertionError as error:
        seen.unsafe = str(error)
    seen.starved_s = outcome.run.starved_s
    return seen


_numbers = itertools.count()


@contextmanager
def attacking(rig: Rig, attack: Attack, seen: Felt) -> Iterator[None]:
    """Attack until the end of the block."""
    stopping = threading.Event()
    with ExitStack() as stack:
        config = ZenohConfig(connect=(rig.endpoint,))
        links = [stack.enter_context(ZenohLink(config)) for _ in range(attack.clients)]
        threads = [
            threading.Thread(target=_attack, args=(link, f"attacker-{number}", attack, seen, stopping))
            for number, link in enumerate(links)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopping.set()
            for thread in threads:
                thread.join()


def _attack(link: ZenohLink, name: str, attack: Attack, seen: Felt, stopping: threading.Event) -> None:
    try:
        key = server_from_key(min(link.tokens(ALL_SERVERS_ALIVE, timeout_s=5.0)))
        attacker = Attacker(link, key, name)
        step = attack.prepare(attacker)
    except Exception as error:  # noqa: BLE001 - an attack that did not begin must be seen
        seen.errors.append(f"{type(error).__name__}: {error}")
        return
    while not stopping.is_set():
        try:
            step(attacker)
        except LinkError as error:  # a question that was not answered
            seen.errors.append(str(error))
        seen.steps += 1
        stopping.wait(attack.pause_s)
