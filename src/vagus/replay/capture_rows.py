"""Actions of a captured session, one row per policy step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ConfigError, ProtocolError
from vagus.recording.episode import RecordedEpisode
from vagus.replay.captures import CapturedSession, CaptureFolder
from vagus.replay.verdict import read_answer
from vagus.wire.codec import decode, decode_tensor
from vagus.wire.contract import policy_spec_from
from vagus.wire.schema import Kind, ObservationMessage

__all__ = ["MAX_STEPS", "capture_episode"]

MAX_STEPS = 1_000_000
"""Longest episode in steps: nine hours at 30 Hz."""


def capture_episode(folder: CaptureFolder, number: int | None) -> RecordedEpisode:
    """Return an episode of the first captured session, as its robot may have played it.

    A capture does not say which actions were commanded. A later chunk takes over at the step at which its
    request expected it: `inference_delay` steps after the observation.

    Raises:
        ConfigError: it does not say what its numbers mean, holds no actions, or has gaps.
    """
    session = folder.sessions[0]
    capabilities = session.capabilities
    if capabilities is None:
        raise ConfigError(
            f"capture {session.name}",
            wanted="one that says what its actions are",
            got="one of an earlier version of vagus, which does not",
        )
    spec = policy_spec_from(capabilities)
    episode = _episode_number(session, number)
    actions, states = _rows(session, episode, (spec.action_dim, spec.state_dim))
    return RecordedEpisode(
        name=f"capture {session.name}, episode {episode}",
        robot_type="replay" if session.opening is None else session.opening.asked.robot_type,
        action_features=spec.actions,
        state_features=spec.state,
        cameras=(),
        rate_hz=spec.rate_hz,
        actions=actions,
        states=states,
        horizon=spec.horizon,
        instruction=spec.default_instruction,
    )


def _episode_number(session: CapturedSession, wanted: int | None) -> int:
    there = sorted({r.header.episode for r in session.requests if r.result == "chunk"})
    if not there:
        raise ConfigError(f"capture {session.name}", wanted="answers with actions", got="none")
    if wanted is not None and wanted not in there:
        raise ConfigError(f"episode of capture {session.name}", wanted=f"one of {there}", got=str(wanted))
    return there[0] if wanted is None else wanted


def _rows(
    session: CapturedSession, episode: int, widths: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return actions, (n, action_dim), and measured states, (n, state_dim), NaN where none was captured."""
    actions, states = (np.full((0, width), np.nan) for width in widths)
    for request in session.requests:
        if request.header.episode != episode or request.result != "chunk":
            continue
        sample = request.load()
        asked, answer = decode(sample.payload, ObservationMessage), read_answer(Kind.CHUNK, sample.reply)
        state = decode_tensor(asked.state, shape=(widths[1],), name="state")
        if answer.actions is None or answer.actions.shape[1] != widths[0]:
            raise ProtocolError(f"{request.path}: wanted actions of {widths[0]} numbers, got another width")
        delay = min(asked.inference_delay, len(answer.actions))
        begin, end = asked.step + delay, asked.step + len(answer.actions)
        if not 0 <= end <= MAX_STEPS:
            raise ProtocolError(f"{request.path}: wanted at most {MAX_STEPS} steps, got {end}")
        actions = _reaching(actions, end)[:end]
        states = _reaching(states, end)[:end]
        actions[begin:end] = answer.actions[delay:]
        states[asked.step : asked.step + 1] = state
    holes = np.flatnonzero(np.isnan(actions).any(axis=1))
    if len(holes):
        raise ConfigError(
            f"capture {session.name}, episode {episode}",
            wanted="an action for each step, as with `capture_every: 1`",
            got=f"none for {len(holes)} steps, the first of them {holes[0]}",
        )
    return actions, states


def _reaching(rows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the rows, with rows of NaN up to `count`."""
    lacking = np.full((max(count - len(rows), 0), rows.shape[1]), np.nan)
    return np.concatenate([rows, lacking])
