"""The task of the engine: what it returns, what is asked, and what frames are labelled with."""

from __future__ import annotations

import threading

import pytest
from lerobot.rollout.inference import InferenceEngine

from integrations.cockpit import Cockpit
from vagus.integrations.lerobot.rollout.engine import EnginePorts, VagusInferenceEngine


class LaterBase(InferenceEngine):  # type: ignore[misc]
    """LeRobot's base class as it will be after 0.6.1: it holds the task, and the one that is dispatched."""

    def __init__(self, task: str = "") -> None:
        self.base_task = task
        self.base_dispatched = [task]

    @property
    def dispatched_task(self) -> str:
        return self.base_dispatched[-1]

    def set_task(self, task: str) -> bool:
        is_new, self.base_task = task != self.base_task, task
        return is_new

    def _set_dispatched_task(self, task: str) -> None:
        self.base_dispatched.append(task)


class LaterEngine(VagusInferenceEngine, LaterBase):
    """Ours on top of it."""


class Talk:
    """A conversation that remembers what each request asked for."""

    def __init__(self, kind: type[VagusInferenceEngine]) -> None:
        self.cockpit = Cockpit(has_base=False)
        self.now_asked = "pick"
        self.asked: dict[int, str] = {}
        ports = EnginePorts(threading.Event(), self.ask, lambda _, seq: self.asked.get(seq), lambda: None)
        self.engine = kind(self.cockpit.pilot, ports, task="pick")
        self.engine.resume()

    def ask(self, task: str) -> None:
        self.now_asked = task

    def answer(self) -> None:
        """Answer the request that waits, as what is asked now."""
        self.cockpit.answer()
        self.asked[self.cockpit.seq] = self.now_asked

    def tick(self) -> str:
        self.cockpit.clock.now += 1
        self.engine.notify_observation(self.cockpit.see())
        self.engine.get_action(None)
        self.cockpit.clock.now += 33_000_000
        return self.engine.dispatched_task


@pytest.fixture(params=[VagusInferenceEngine, LaterEngine])
def talk(request: pytest.FixtureRequest) -> Talk:
    return Talk(request.param)


def test_it_says_whether_the_task_changed(talk: Talk) -> None:
    assert talk.engine.set_task("fold") is True
    assert talk.engine.set_task("fold") is False
    assert (talk.engine.task, talk.now_asked) == ("fold", "fold")
    assert talk.engine.set_task("pick") is True


def test_frames_are_labelled_with_what_their_plan_was_asked_for(talk: Talk) -> None:
    talk.tick()
    talk.answer()
    assert {talk.tick() for _ in range(5)} == {"pick"}
    talk.engine.set_task("fold")
    assert {talk.tick() for _ in range(5)} == {"pick"}  # the plan in hand is an older one
    while len(talk.cockpit.client.offered) < 2:
        talk.tick()
    talk.answer()
    assert talk.tick() == "fold"
    if isinstance(talk.engine, LaterEngine):
        assert talk.engine.base_dispatched[-1] == "fold"
        assert talk.engine.base_task == "fold"


def test_a_new_episode_is_of_the_new_task(talk: Talk) -> None:
    talk.tick()
    talk.answer()
    talk.tick()
    talk.engine.set_task("fold")
    talk.engine.reset()
    assert talk.engine.dispatched_task == "fold"


def test_an_answer_whose_request_is_forgotten_changes_no_label(talk: Talk) -> None:
    talk.tick()
    talk.answer()
    talk.asked.clear()
    assert talk.tick() == "pick"
