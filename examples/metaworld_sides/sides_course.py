"""What chance decides in an episode, where the posts are, and the expert. Pure.

The hand goes forward at a steady pace, as if on a belt, and is steered to the sides. In its way stand two
posts, one behind the other. Left and right of a post are equally good, and the expert takes one of them at
random. Half of the posts jump sideways when the hand has come near. Lengths are metres, x is to the right, y
is forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AGENT",
    "MAX_STEPS",
    "NEAR_GOAL_M",
    "PACE_CM",
    "POSTS",
    "TOP_CM",
    "WORLD",
    "Course",
    "Expert",
    "Posts",
    "draw_course",
]

Floats: TypeAlias = NDArray[np.float64]

AGENT = ("hand.x", "hand.y", "hand.vx", "hand.vy")
WORLD = ("post.x", "post.y", "goal.x", "goal.y")
POSTS = 2
MAX_STEPS = 110
"""5.5 s from the first move on; the hand has gone by the goal before."""
PACE_CM = 0.5
"""Way forward in each step."""
TOP_CM = 2.0
"""Largest way to the side in a step."""
NEAR_GOAL_M = 0.04
TOUCH_M = 0.03
"""Nearer than this the hand touches the post: half the width of the fingers, and of the post."""
POST_Y_M = (0.57, 0.78)
POST_X_M = 0.02
"""Range of a post to either side of the middle."""
JUMP_SHARE = 0.5
JUMP_M = (0.025, 0.05)
JUMP_AHEAD_M = (0.075, 0.14)
"""Distance to the post at which it jumps."""
SLIP_CM = 0.06
"""Standard deviation of what is added to each step."""


@dataclass(frozen=True, eq=False)
class Course:
    """All that chance decides in one episode.

    Attributes:
        posts: places of the posts before they jump, (POSTS, 2).
        jump: how far each jumps sideways, (POSTS,); 0: not at all.
        jump_ahead: distance from the hand, forward, at which it does, (POSTS,).
        goal: place of the goal, (2,).
        slip: what is added to each step, to the side and forward, (MAX_STEPS, 2), cm.
    """

    posts: Floats
    jump: Floats
    jump_ahead: Floats
    goal: Floats
    slip: Floats


def draw_course(number: int, *, jumps: bool = True) -> Course:
    """Return the course of an episode: the same for the same number, but for jumps that there are or not."""
    random = np.random.default_rng(number)
    far = np.where(random.random(POSTS) < JUMP_SHARE, random.uniform(*JUMP_M, POSTS), 0.0)
    return Course(
        posts=np.stack([random.uniform(-POST_X_M, POST_X_M, POSTS), np.array(POST_Y_M)], axis=1),
        jump=jumps * far * random.choice([-1.0, 1.0], POSTS),
        jump_ahead=random.uniform(*JUMP_AHEAD_M, POSTS),
        goal=random.uniform([-0.05, 0.84], [0.05, 0.86]),
        slip=random.normal(0.0, SLIP_CM, (MAX_STEPS, 2)),
    )


class Posts:
    """The posts of one episode, as the hand goes by."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._places = course.posts.copy()
        self._at = 0
        self._has_jumped = False

    @property
    def next(self) -> Floats:
        """Place of the post that is not behind the hand yet, or of the last one, (2,)."""
        place: Floats = self._places[self._at]
        return place

    def follow(self, hand: Floats) -> bool:
        """Let the next post jump if the hand is near, and return whether the hand touches it.

        Args:
            hand: place of the hand, (2,).
        """
        if hand[1] > self.next[1] + TOUCH_M and self._at < POSTS - 1:
            self._at += 1
            self._has_jumped = False
        if not self._has_jumped and self.next[1] - hand[1] < self._course.jump_ahead[self._at]:
            self._has_jumped = True
            self.next[0] += self._course.jump[self._at]
        return float(np.hypot(*(hand - self.next))) < TOUCH_M


SIDE_M = 0.055
"""How far beside a post the expert wants to go by."""
DECISION_M = (0.085, 0.1)
"""Distance to the post at which it takes a side."""
EDGE_M = 0.02
"""Distance at which it has to be at the side."""
APPROACH_STEPS = 4.0
"""Steps in which it would be where it goes, if it did not slow down."""


class Expert:
    """Steers in front of the next post, takes a side at random when it comes near, and ends at the goal."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._post_y = -np.inf
        self._side = 1.0
        self._decision_m = 0.0

    def action(self, seen: Floats) -> Floats:
        """Return the next way to the side, (1,), cm, of what is seen: `AGENT`, then `WORLD`."""
        hand, post, goal = seen[:2], seen[4:6], seen[6:]
        if post[1] != self._post_y:
            self._post_y = float(post[1])
            self._side = float(self._random.choice([-1.0, 1.0]))
            self._decision_m = float(self._random.uniform(*DECISION_M))
        ahead = float(post[1] - hand[1])
        if ahead < -TOUCH_M:
            return self._towards(float(goal[0] - hand[0]), APPROACH_STEPS)
        has_decided = ahead < self._decision_m
        target = post[0] + self._side * SIDE_M * has_decided
        steps_left = max(ahead - EDGE_M, 0.0) * 100.0 / PACE_CM
        steps = max(0.45 * steps_left, 3.5) if has_decided else APPROACH_STEPS
        return self._towards(float(target - hand[0]), steps)

    @staticmethod
    def _towards(way_m: float, steps: float) -> Floats:
        return np.array([np.clip(100.0 * way_m / steps, -TOP_CM, TOP_CM)])
