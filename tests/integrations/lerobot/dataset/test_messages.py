"""What goes over the pipe to the writing process."""

from __future__ import annotations

import io

import numpy as np
import pytest

from vagus.integrations.lerobot.dataset.messages import (
    EndEpisode,
    OpenDataset,
    WriteFrame,
    read_images,
    read_message,
    write_message,
)

ORDER = OpenDataset(
    root="a",
    repo_id="local/a",
    fps=30,
    robot_type="vsim",
    actions=("x",),
    state=("x", "y"),
    cameras={"front": (4, 6), "wrist": (2, 2)},
    columns={"vagus.seq": "int64"},
    codec="h264",
    encoder_threads=1,
)
FRAME = WriteFrame("reach", [1.0, 2.0], [3.0], {"vagus.seq": 4.0})


class Dribble(io.BytesIO):
    """Takes and gives a few bytes at a time, as a pipe may."""

    def write(self, content: object) -> int:
        return super().write(memoryview(content)[:7])  # type: ignore[arg-type]

    def readinto(self, buffer: object) -> int:
        return super().readinto(memoryview(buffer)[:5])  # type: ignore[arg-type]


def test_messages_and_pictures_come_out_as_they_went_in() -> None:
    rng = np.random.default_rng(0)
    images = {
        name: rng.integers(0, 255, (*size, 3), dtype=np.uint8)[::-1] for name, size in ORDER.cameras.items()
    }
    pipe = Dribble()
    write_message(pipe, ORDER)
    write_message(pipe, FRAME, images)
    write_message(pipe, EndEpisode())
    pipe.seek(0)
    assert read_message(pipe) == ORDER
    assert read_message(pipe) == FRAME
    found = read_images(pipe, ORDER.cameras)
    assert found is not None
    assert all(np.array_equal(found[name], images[name]) for name in images)
    assert read_message(pipe) == EndEpisode()
    assert read_message(pipe) is None


@pytest.mark.parametrize("kept", [1, 3, 5, 20])
def test_a_pipe_that_breaks_off_ends(kept: int) -> None:
    whole = io.BytesIO()
    write_message(whole, FRAME)
    broken = io.BytesIO(whole.getvalue()[:kept])
    assert read_message(broken) is None
    assert read_images(io.BytesIO(bytes(kept)), {"front": (4, 6)}) is None
