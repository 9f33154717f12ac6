"""Builds the engine's directives, each with its provenance."""

from __future__ import annotations

from vagus.edge.engine.playback import Playing
from vagus.types import Directive, LinkState, MotionState, Provenance

__all__ = ["hold_directive", "play_directive"]


def play_directive(
    playing: Playing, *, now_ns: int, episode: int, link: LinkState, step_s: float, reseed: bool
) -> Directive:
    """Return the directive to play this tick's share of a plan action."""
    action, source = playing.action, playing.action.source
    age_ns = now_ns - source.captured_ns
    motion = MotionState.PLAYING
    return Directive(
        motion=motion,
        provenance=Provenance(
            source.epoch, source.seq, episode, action.step, action.index, age_ns, link, motion
        ),
        knot=action.robot,
        next_knot=playing.next_knot,
        begin=playing.begin,
        end=playing.end,
        step_s=step_s,
        reseed=reseed,
    )


def hold_directive(
    motion: MotionState, *, episode: int, link: LinkState, step_s: float, reseed: bool
) -> Directive:
    """Return the directive of a tick without a plan action."""
    provenance = Provenance(None, None, episode, None, None, None, link, motion)
    return Directive(motion, provenance, step_s=step_s, reseed=reseed)
