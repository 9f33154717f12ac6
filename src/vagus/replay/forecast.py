"""Would it have been safe? A recorded session with another network, and what nobody can know. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.control.config import LoopConfig
from vagus.edge.config import EdgeConfig
from vagus.errors import ConfigError, SpecError
from vagus.recording.session import RecordedSession
from vagus.replay.differences import Differences, JointDifference
from vagus.replay.network import NetworkChange
from vagus.replay.simulation import Played, SessionTerms, play
from vagus.specs import RobotSpec

__all__ = ["CANNOT_KNOW", "Forecast", "Holds", "forecast", "terms_of"]

CANNOT_KNOW = (
    "the robot is taken to follow other commands as closely as those recorded; nobody knows what it would "
    "have touched, nor what its cameras would have seen",
    "a request at another step is answered by what the policy said about the same steps then; in truth it "
    "would have seen another picture, and with real-time chunking another plan and delay",
    "the recorded times hold for as many robots at the server, and as many bytes on the way, as there were",
    "a server's wish for a pause, and its room for requests with `execute_horizon: auto`, are not recorded: "
    "the robot asks as if there were no other robots",
    "after a lost link the session opens again at once; another server or a busy one takes longer",
)
MAX_REQUESTS = 10_000
"""Largest number of requests that a report lists."""


class Holds(msgspec.Struct, frozen=True, kw_only=True):
    """Ticks without an action of the plan since the first one."""

    ticks: int
    """Number of these ticks."""
    share: float
    """Their share of all ticks since the first action of the plan."""
    times: int
    """Number of holds."""
    longest_s: float
    """Duration of the longest, in seconds."""
    first_s: float | None
    """Time of the first action of the plan since the first recorded command, in seconds; None: never."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What a recorded session would have been with another network, as `--json` prints it."""

    session: str
    network: str
    """What is changed, in words."""
    duration_s: float
    recorded: Holds
    simulated: Holds
    least_spare_ms: float | None
    """Shortest playback left in the plan while it was played; None: it never was."""
    requests: list[dict[str, float | int | str | bool | None]]
    """Each request: episode, step, captured_s, latency_ms (None: no answer), is_recorded, fate."""
    outcomes: dict[str, int]
    """Counters of the engine and the client: merged, too_late, stale_chunk, timeouts …"""
    limited: dict[str, int]
    """Name of a limit → ticks in which it would have changed a command."""
    recorded_limited: dict[str, int]
    """The same as recorded."""
    joints: list[JointDifference]
    """Differences of the commands from those recorded, where both are of the plan or a fallback."""
    ended_s: float | None
    """Time at which the run would have been ended; None: it would not."""
    ended_because: str
    pauses: int
    verdict: str
    is_as_smooth: bool
    """No tick more than in the recording would have been without an action of the plan."""
    cannot_know: list[str]
    warnings: list[str]


def forecast(session: RecordedSession, change: NetworkChange) -> Forecast:
    """Return what a session would have been with another network.

    Raises:
        ConfigError: the recording lacks what this needs, in words.
    """
    played = play(session, terms_of(session), change)
    steps, info = session.steps, session.info
    differences = Differences(info.actions, info.action_units)
    differences.add(steps.action, played.action)
    begin_ns = int(steps.t_ns[0])
    recorded = _holds(steps.step >= 0, steps.t_ns)
    reached = len(steps) if played.ended_ns is None else int(np.searchsorted(steps.t_ns, played.ended_ns))
    simulated = _holds(played.is_plan[:reached], steps.t_ns[:reached])
    return Forecast(
        session=str(session.path),
        network=str(change),
        duration_s=(int(steps.t_ns[-1]) - begin_ns) / NS_PER_S,
        recorded=recorded,
        simulated=simulated,
        least_spare_ms=None if played.spare_ns is None else played.spare_ns / NS_PER_MS,
        requests=_requests(played, begin_ns),
        outcomes=dict(sorted(played.counters.items())),
        limited=played.limited,
        recorded_limited=dict(Counter(name for names in steps.limited for name in names)),
        joints=list(differences.joints()),
        ended_s=None if played.ended_ns is None else (played.ended_ns - begin_ns) / NS_PER_S,
        ended_because=played.ended_because,
        pauses=played.pauses,
        verdict=_verdict(recorded, simulated, played, begin_ns),
        is_as_smooth=played.ended_ns is None and simulated.ticks <= recorded.ticks,
        cannot_know=list(CANNOT_KNOW),
        warnings=list(session.warnings),
    )


def terms_of(session: RecordedSession) -> SessionTerms:
    """Return what a session was run with, in the policy's names.

    Raises:
        ConfigError: the recording does not say it, or holds no chunks and no commands.
    """
    info, where = session.info, f"session {session.path}"
    if not session.chunks:
        fix = "record it with this version" if info.format < 2 else ""
        raise ConfigError(where, wanted="chunks as they came from the server", got="none", fix=fix)
    if not len(session.steps):
        raise ConfigError(where, wanted="commands", got="none")
    if info.policy is None or info.tick_rate_hz is None or info.step_rate_hz is None:
        raise ConfigError(where, wanted="the policy and both rates in its description", got="a part of them")
    try:
        robot = RobotSpec(
            robot_type=info.robot.robot_type if info.robot is not None else "recorded",
            actions=info.action_features,
            state=info.state_features,
            cameras=(),
            rate_hz=info.tick_rate_hz,
        )
        policy = replace(info.policy, cameras=(), depth_cameras=())
        return SessionTerms(
            robot,
            policy,
            info.step_rate_hz,
            _setting(session, "edge", EdgeConfig),
            _loop(session),
            info.continues_awaited,
        )
    except SpecError as error:
        raise ConfigError(where, wanted="specs that fit together", got=str(error)) from error


def _setting(session: RecordedSession, section: str, kind: type[EdgeConfig]) -> EdgeConfig:
    try:
        return msgspec.convert(session.info.settings[section], kind)
    except (KeyError, msgspec.ValidationError, ConfigError) as error:
        raise _lacking(session, section, error) from error


def _loop(session: RecordedSession) -> LoopConfig:
    """Return the loop's settings, the fallbacks of single actions in the policy's names."""
    settings = session.info.settings
    try:
        loop = msgspec.convert(settings["loop"], LoopConfig)
    except (KeyError, msgspec.ValidationError, ConfigError) as error:
        raise _lacking(session, "loop", error) from error
    rename = settings.get("rename")
    table = {k: v for k, v in rename.items() if isinstance(v, str)} if isinstance(rename, Mapping) else {}
    return replace(loop, fallback=loop.fallback.renamed(table))


def _lacking(session: RecordedSession, section: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"session {session.path}", wanted=f"its {section} settings", got=f"none to use ({error})"
    )


@dataclass(frozen=True, slots=True)
class _Run:
    begin: int
    end: int


def _holds(is_plan: NDArray[np.bool_], t_ns: NDArray[np.int64]) -> Holds:
    """Return the ticks without an action of the plan since the first one."""
    planned = np.flatnonzero(is_plan)
    if not len(planned):
        return Holds(
            ticks=len(is_plan), share=1.0, times=1, longest_s=_span_s(t_ns, 0, len(t_ns)), first_s=None
        )
    begin = int(planned[0])
    lacking = ~is_plan[begin:]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], lacking, [False]]).astype(np.int8)))
    runs = [_Run(begin + int(a), begin + int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return Holds(
        ticks=int(lacking.sum()),
        share=float(lacking.mean()),
        times=len(runs),
        longest_s=max((_span_s(t_ns, run.begin, run.end) for run in runs), default=0.0),
        first_s=(int(t_ns[begin]) - int(t_ns[0])) / NS_PER_S,
    )


def _span_s(t_ns: NDArray[np.int64], begin: int, end: int) -> float:
    """Return the time from a tick to the tick after the last of a run, or to the last of all."""
    if not len(t_ns):
        return 0.0
    return (int(t_ns[min(end, len(t_ns) - 1)]) - int(t_ns[begin])) / NS_PER_S


def _requests(played: Played, begin_ns: int) -> list[dict[str, float | int | str | bool | None]]:
    return [
        {
            "episode": request.episode,
            "step": request.step,
            "captured_s": (request.captured_ns - begin_ns) / NS_PER_S,
            "latency_ms": None
            if request.due_ns is None
            else (request.due_ns - request.captured_ns) / NS_PER_MS,
            "is_recorded": request.is_recorded,
            "fate": request.fate,
        }
        for request in played.requests[:MAX_REQUESTS]
    ]


def _verdict(recorded: Holds, simulated: Holds, played: Played, begin_ns: int) -> str:
    """Return the answer in a sentence."""
    if played.ended_ns is not None:
        after_s = (played.ended_ns - begin_ns) / NS_PER_S
        return f"no: the run would have been ended after {after_s:.1f} s ({played.ended_because})"
    if simulated.first_s is None:
        return "no: the robot would never have had a plan, and would have stood where it was"
    if simulated.ticks > recorded.ticks:
        return (
            f"safe, but not smooth: within its limits, the robot would have held {simulated.times} times, "
            f"{simulated.share:.1%} of the time (recorded: {recorded.share:.1%}), for "
            f"{simulated.longest_s:.2f} s at the longest"
        )
    spare_ms = (played.spare_ns or 0) / NS_PER_MS
    return (
        "yes: no tick more than in the recording would have been without a plan, which would never have been "
        f"shorter than {spare_ms:.0f} ms"
    )
