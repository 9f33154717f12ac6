"""Policies served from Python: functions, objects and classes; in the background, and until a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import vagus
from vagus.api.serve import PolicyServer
from vagus.edge.client.blocking import BlockingClient, ChunkRequest
from vagus.edge.client.handshake import Identity
from vagus.errors import ConfigError, LinkError, PolicyError
from vagus.policies.policy import Row, ServingMode
from vagus.server.config import ServeConfig, ServingChoice
from vagus.specs import PolicySpec, RobotSpec
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig
from vagus.types import ActionChunk, FloatArray

HERE = "tcp/127.0.0.1:0"
XY = {"x": "m", "y": "m"}
STATE = np.array([1.0, 2.0], dtype=np.float32)


@vagus.policy(actions=XY, state=XY, horizon=4, rate_hz=10, shared=True, weights_files=[])
def stay(observation: vagus.Observation) -> FloatArray:
    return np.repeat(observation.state[None], 4, axis=0)


@vagus.policy(actions=XY, state=XY, horizon=4, rate_hz=10, shared=True, prefix_horizon=2)
class Scaled:
    """A batch in, one array out."""

    def __init__(self, gain: float = 2.0) -> None:
        self.gain = gain
        self.sizes: list[int] = []

    def infer(self, batch: Sequence[Row[object]]) -> FloatArray:
        self.sizes.append(len(batch))
        states = np.stack([row.observation.state for row in batch])
        return np.repeat((self.gain * states)[:, None], 4, axis=1)


class Whole:
    """A policy without a decorator."""

    spec: PolicySpec = vagus.PolicySpec(
        "whole",
        actions=(vagus.ActionFeature("x", "m"), vagus.ActionFeature("y", "m")),
        state=(vagus.StateFeature("x", "m"), vagus.StateFeature("y", "m")),
        cameras=(),
        horizon=4,
        model_dim=2,
        rate_hz=10,
    )
    serving_mode = ServingMode.SHARED
    model_hash = "whole"

    def infer(self, batch: Sequence[Row[object]]) -> list[ActionChunk]:
        actions = np.ones((1, 2), np.float32)
        return [ActionChunk(row.step, actions, 3 * actions) for row in batch]


@pytest.fixture
def router() -> Iterator[Router]:
    with Router(RouterConfig(listen=(HERE,))) as router:
        yield router


def background(policy: object, **settings: object) -> PolicyServer:
    server: PolicyServer = vagus.serve(policy, wait=False, listen=HERE, **settings)  # type: ignore[call-overload]
    return server


def answer(endpoint: str) -> list[float]:
    """Return the first action of a chunk."""
    robot = RobotSpec("script", Whole.spec.actions, Whole.spec.state, (), 10.0)
    with (
        ZenohLink(ZenohConfig(connect=(endpoint,), open_timeout_s=0.5)) as link,
        BlockingClient(link, robot, Identity("script", "1")) as client,
    ):
        return [float(number) for number in client.ask(ChunkRequest(STATE, {})).robot[0]]


@pytest.mark.parametrize(
    ("policy", "first"),
    [
        (stay, [1.0, 2.0]),
        (Scaled(5.0), [5.0, 10.0]),
        (Scaled, [3.0, 6.0]),
        (Whole(), [3.0, 3.0]),
        (f"{__file__}:stay", [1.0, 2.0]),
    ],
    ids=["function", "object", "class", "own spec", "import path"],
)
def test_whatever_is_a_policy_is_served(policy: object, first: list[float]) -> None:
    options: dict[str, object] = {"options": {"gain": 3.0}} if policy is Scaled else {}
    with background(policy, **options) as server:
        assert not server.endpoint.endswith(":0")
        assert answer(server.endpoint) == first


def test_a_decorated_class_gets_whole_batches_and_offers_what_it_declares() -> None:
    scaled = Scaled()
    with vagus.serve(scaled, listen=HERE, wait=False, max_batch=3) as server:
        said = server.capabilities()
    assert set(scaled.sizes) == {1, 2, 3}, "the warm-up"
    assert said.serving_mode == "shared"
    assert said.rtc is not None
    assert said.rtc.prefix_horizon == 2
    assert said.model == "Scaled"


def test_it_is_reached_through_a_router(router: Router) -> None:
    with vagus.serve(stay, connect=router.endpoints[0], wait=False) as server:
        assert server.endpoint == router.endpoints[0]
        assert answer(server.endpoint) == [1.0, 2.0]


def hash_of(policy: object, **settings: object) -> str:
    with background(policy, warm_up=False, **settings) as server:
        return server.capabilities().model_hash


def test_a_policy_that_says_what_it_is_made_of_is_the_same_in_every_process() -> None:
    assert hash_of(stay) == hash_of(stay) == hash_of(f"{__file__}:stay")
    assert hash_of(Whole()) == hash_of(Whole())
    assert hash_of(Scaled) == hash_of(Scaled) != hash_of(Scaled, options={"gain": 3.0})


def test_an_object_that_does_not_say_what_it_is_made_of_equals_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert hash_of(Scaled(2.0)) != hash_of(Scaled(2.0))
    assert "'Scaled': what it read before it was handed over is not known" in caplog.text
    assert "weights_files=[…]" in caplog.text


def test_settings_are_those_of_the_manifest_and_win_over_the_config() -> None:
    config = ServeConfig(model="mine", max_sessions=3, serving_mode=ServingChoice.EXCLUSIVE)
    with vagus.serve(
        stay, listen=HERE, wait=False, config=config, max_sessions=5, server_name="gpu"
    ) as server:
        said = server.capabilities()
    assert (said.model, said.serving_mode) == ("mine", "exclusive")
    assert said.server.startswith("gpu-")
    with vagus.serve(stay, listen=HERE, wait=False, serving_mode="exclusive", warm_up=False) as server:
        assert server.capabilities().serving_mode == "exclusive"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"max_sesions": 3}, "did you mean max_sessions"),
        ({"max_sessions": "three"}, r"Expected `int`, got `str` - at `\$.max_sessions`"),
        ({"serving_mode": "shared"}, "wanted one of auto, exclusive, got 'shared'"),
        ({"connect": "tcp/127.0.0.1:1"}, "one endpoint, to connect to or to listen on"),
        ({"options": {"gain": 3.0}}, "no options, because it is not a class"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        background(stay, **settings)


def test_what_is_no_policy_and_what_fails_is_told_where_it_was_handed_over() -> None:
    with pytest.raises(ConfigError, match=r"policy 'list': wanted a function with @policy"):
        vagus.serve([1.0], listen=HERE, wait=False)

    @vagus.policy(actions=XY, state=XY, horizon=4, rate_hz=10)
    def broken(observation: vagus.Observation) -> FloatArray:
        raise RuntimeError("no weights")

    with pytest.raises(PolicyError, match="no weights"):
        vagus.serve(broken, listen=HERE, wait=False)
    assert not [thread for thread in threading.enumerate() if thread.name == "vagus-policy"]


def test_nobody_to_connect_to_is_told_and_leaves_nothing_behind() -> None:
    with pytest.raises(LinkError, match=r"no answer from tcp/127\.0\.0\.1:1 "):
        vagus.serve(stay, connect="tcp/127.0.0.1:1", wait=False, zenoh=ZenohConfig(open_timeout_s=0.1))


def test_a_block_that_raises_ends_the_server_at_once() -> None:
    with pytest.raises(KeyError), vagus.serve(stay, listen=HERE, wait=False) as server:
        raise KeyError("mine")
    with pytest.raises(LinkError):
        answer(server.endpoint)


def test_to_wait_for_a_signal_wants_the_main_thread() -> None:
    errors: list[str] = []

    def serve() -> None:
        try:
            vagus.serve(stay, listen=HERE)
        except ConfigError as error:
            errors.append(str(error))

    thread = threading.Thread(target=serve, name="mine")
    thread.start()
    thread.join()
    assert errors == ["serve: wanted the main thread, or wait=False, got thread 'mine'"]


PROGRAM = """
    import logging, signal, sys
    import numpy as np
    import vagus

    @vagus.policy(actions={"x": "m"}, state={"x": "m"}, horizon=2, rate_hz=10, version="1")
    def stay(observation):
        return [observation.state]

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    before = signal.getsignal(signal.SIGTERM)
    is_finished = vagus.serve(stay, connect=sys.argv[1])
    print("finished", is_finished, signal.getsignal(signal.SIGTERM) is before, flush=True)
"""


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_script_serves_until_a_signal_and_then_goes_on(
    number: signal.Signals, tmp_path: Path, router: Router
) -> None:
    (tmp_path / "serving.py").write_text(textwrap.dedent(PROGRAM))
    command = [sys.executable, "-u", "serving.py", router.endpoints[0]]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=os.environ, bufsize=1
    ) as process:
        assert process.stdout is not None
        try:
            said = next(line for line in process.stdout if line.startswith("service "))
            process.send_signal(number)
            rest = process.stdout.read()
        finally:
            process.kill()
    assert "service stay/main/default" in said
    assert "finished True True" in rest, rest


def test_a_wrong_option_is_told_before_anything_is_connected() -> None:
    with pytest.raises(ConfigError, match=r"got inference_md; did you mean inference_ms\?"):
        vagus.serve("reach", connect="tcp/127.0.0.1:1", options={"inference_md": 1.0})


def test_options_of_a_policy_of_your_own_are_not_those_of_a_backend_of_its_name() -> None:
    class Reach(Scaled):
        pass

    Reach.__name__ = "reach"
    with background(Reach, options={"gain": 3.0}) as server:
        assert server.capabilities().model == "reach"
