"""Counters of the robot's side: what each of them counts. Each name is counted on one side only."""

from __future__ import annotations

from collections.abc import Mapping

from vagus.wire.schema import EventCode

__all__ = ["CLIENT", "ENGINE"]

ENGINE: Mapping[str, str] = {
    "merged": "chunks that entered the plan",
    "fallback_ticks": "ticks without an action of a plan, in fallback",
    "starved": "ticks at which the plan was empty",
    "stale": "ticks at which the next action was too old",
    "passed_by_clock": "actions that fell due before they could be commanded (`--plan-clock time`)",
    "delay_underestimated": "chunks that came later than the `inference_delay` that the policy was told; "
    "up to half of all where the delay varies",
    "discarded_paused": "chunks that came in a pause or after the end",
    "discarded_epoch": "chunks of a session that ended while they waited to be merged",
    "discarded_episode": "chunks of an episode that ended while they waited to be merged",
    "discarded_superseded": "chunks no newer than the one merged last, or replaced before a tick",
    "moved_since_capture": "chunks whose observation is from before the robot was moved without a plan",
    "too_late": "chunks whose last step was already commanded",
    "stale_chunk": "chunks whose observation is older than `max_action_age_s`",
}
"""Counters of the control thread."""

CLIENT: Mapping[str, str] = {
    "sessions_opened": "sessions that a server accepted",
    "sessions_lost": "sessions that ended without us: server gone, refusals or silence",
    "moves": "changes to another server because the server asked for it",
    "moves_declined": "invitations to another server that were not followed; the log says why",
    "moves_failed": "moves that could not be completed; the robot stayed where it was",
    "requests": "requests sent",
    "timeouts": "requests without an answer in time",
    "snapshots_unwanted": "observations that came when none was asked for any more",
    "snapshots_void": "observations of an episode or a pose that was over",
    "drafts_failed": "requests without pictures: a camera failed",
    "rejected_chunks": "chunks that were refused, for whatever reason below",
    "requests_refused": "requests that the server answered with an event instead of a chunk",
    "requests_deferred": "requests that the server put off, because the robot's tenant is above its quota",
    "rejected_malformed": "messages that cannot be read",
    "rejected_shape": "chunks of another width or length",
    "rejected_step": "chunks for another step than was asked for",
    "rejected_not_finite": "chunks with NaN or infinity",
    "rejected_meaningless": "chunks with numbers that mean nothing, such as a quaternion of length 0",
    "misrouted": "messages of somebody else's session, dropped unread",
    "old_epoch": "messages of an earlier session of this robot",
    "old_episode": "answers for an episode that is over",
    "superseded": "answers to a request while a newer one has been answered",
    "duplicated": "answers that came twice",
    "unknown_seq": "answers to requests that were never made, or too long ago",
    "wrong_echo": "answers that repeat another episode or time stamp than was sent",
    "unexpected_kind": "messages that are neither chunk nor event",
    "inbox_full": "messages dropped because the worker did not keep up",
    "worker_errors": "unexpected errors of the worker; each has a traceback in the log",
    "resets_unacknowledged": "episode boundaries not confirmed in time; the next request carries them",
    **{f"event_{code.value}": f"events `{code.value}` from the server" for code in EventCode},
    "event_unknown_code": "events of a kind that this version does not know",
}
"""Counters of the worker thread."""
