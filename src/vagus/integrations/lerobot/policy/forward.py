"""Forward pass of a batch through a LeRobot policy: collate, preprocess, predict, postprocess."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.policies.utils import populate_queues
from lerobot.processor import RelativeActionsProcessorStep
from lerobot.utils.constants import ACTION, OBS_IMAGE, OBS_IMAGES
from torch import Tensor

from vagus.errors import PolicyError
from vagus.integrations.lerobot.policy.batch import Batch, Memory, collate, generators, noise_of, with_history
from vagus.integrations.lerobot.policy.compiling import filled, graph_size
from vagus.integrations.lerobot.policy.families import Family
from vagus.integrations.lerobot.policy.features import STATE, Features
from vagus.integrations.lerobot.policy.frames import (
    FrameShapes,
    MaskedFrames,
    can_mask,
    frame_shapes,
    sample_frames,
    stacked_frames,
)
from vagus.integrations.lerobot.policy.loading import Loaded
from vagus.integrations.lerobot.policy.rtc import (
    BatchedRtc,
    RtcBatch,
    RtcPrefix,
    collate_rtc,
    reanchor,
    relative_step,
)
from vagus.policies.policy import Row, ServingMode
from vagus.types import ActionChunk, Observation, Prefix

__all__ = ["Forward"]

CHUNK_DIMS = 3


class Forward:
    """Runs rows that fit into one batch; nothing of it is left behind but what the rows' sessions keep."""

    def __init__(self, loaded: Loaded, features: Features, family: Family) -> None:
        self._loaded = loaded
        self._features = features
        self._family = family
        self._sampling = _SeededSampling(loaded.policy.diffusion) if family.has_history else None
        self._has_rtc = isinstance(getattr(loaded.policy, "rtc_processor", None), BatchedRtc)
        self._last_queued: int | None = None  # step of the last observation in the policy's own queues
        self._masked: MaskedFrames | None = None
        if can_mask(loaded.policy.config, family) and self._keeps_frames():
            self._masked = MaskedFrames(loaded.policy, features, family, has_all=loaded.is_compiled)

    def run(self, rows: Sequence[Row[Memory]]) -> list[ActionChunk]:
        """Return one chunk per row.

        Raises:
            PolicyError: the policy gives something else than a chunk of actions.
            Exception: whatever LeRobot raises.
        """
        loaded = self._loaded
        run = self._filled(rows)
        try:
            with torch.inference_mode():
                plans = self._plans(run)
                batch = self._prepared(run)
                with loaded.computing():
                    chunk = self._predict(run, batch, plans)
                model = chunk.float().cpu().clone()  # a step may write into what it is given
                robot = loaded.postprocessor(chunk.float()).float().cpu()
        except NotImplementedError as error:
            raise PolicyError(
                f"a {self._features.spec.policy_type} policy lacks what chunks of actions need, "
                f"on {loaded.device} ({str(error) or 'its chunk API is empty'}); run it beside the robot"
            ) from error
        finally:
            self._forget()
        pairs = zip(run, model.numpy(), robot.numpy(), strict=True)
        chunks = [ActionChunk(row.step, in_model, in_robot) for row, in_model, in_robot in pairs]
        return chunks[: len(rows)]

    def frames_key(self, observation: Observation) -> FrameShapes:
        """Return what rows must have alike to be run together; nothing where each has a mask of its own."""
        if self._masked is not None:
            return ()
        return frame_shapes(observation, self._features, fits_frames=self._family.fits_frames)

    def begin_episode(self) -> None:
        """Forget what the policy object keeps itself."""
        self._last_queued = None
        for part in (self._loaded.policy, self._loaded.preprocessor, self._loaded.postprocessor):
            part.reset()

    def _filled(self, rows: Sequence[Row[Memory]]) -> Sequence[Row[Memory]]:
        """Return as many rows as a graph takes."""
        if not self._loaded.is_compiled or self._family.mode is ServingMode.EXCLUSIVE:
            return rows
        return filled(rows, graph_size(len(rows), self._loaded.graphs_per_doubling))

    def _prepared(self, rows: Sequence[Row[Memory]]) -> Batch:
        loaded, family = self._loaded, self._family
        frames = [row.observation.images for row in rows]
        collated = collate(rows, self._features, loaded.device)
        if self._masked is not None:
            self._masked.take(frames)
        else:
            collated |= stacked_frames(
                frames, self._features, fits_frames=family.fits_frames, device=loaded.device
            )
        batch: Batch = {key: value for key, value in loaded.preprocessor(collated).items() if key != ACTION}
        if family.has_history:
            return with_history(rows, batch, loaded.policy.config.n_obs_steps)
        if family.has_queues:
            _fill_queues(loaded.policy, batch, is_again=rows[0].step == self._last_queued)
            self._last_queued = rows[0].step
        return batch

    def _predict(self, rows: Sequence[Row[Memory]], batch: Batch, plans: RtcBatch | None) -> Tensor:
        """Return the chunks in the policy's own space, (rows, steps, model_dim)."""
        options: dict[str, object] = {}
        if plans is not None:
            options = {"prev_chunk_left_over": plans, "inference_delay": 0, "execution_horizon": None}
        if self._family.noise is not None:
            sources = generators(rows)
            options["noise"] = noise_of(sources, self._noise_shape(self._family.noise), self._loaded.device)
            if self._sampling is not None:
                self._sampling.sources = sources
        if self._family.mode is ServingMode.EXCLUSIVE:
            chunk = _seeded(self._loaded, batch, rows[0].seed)
        else:
            chunk = self._loaded.policy.predict_action_chunk(batch, **options)
        if self._family.has_time_first:
            chunk = chunk.transpose(0, 1)
        wanted = (len(rows), self._features.spec.model_dim)
        if chunk.ndim != CHUNK_DIMS or (chunk.shape[0], chunk.shape[2]) != wanted:
            raise PolicyError(f"wanted chunks of shape ({wanted[0]}, steps, {wanted[1]}), got {chunk.shape}")
        return chunk

    def _noise_shape(self, setting: str) -> tuple[int, int]:
        config = self._loaded.policy.config
        width = getattr(config, self._family.width) if self._family.width else self._features.spec.model_dim
        return int(getattr(config, setting)), int(width)

    def _plans(self, rows: Sequence[Row[Memory]]) -> RtcBatch | None:
        plans = [None if row.prefix is None else self._plan(row, row.prefix) for row in rows]
        spec, loaded = self._features.spec, self._loaded
        width = spec.model_dim if loaded.is_compiled and self._has_rtc else 0
        return collate_rtc(plans, steps=spec.horizon, device=loaded.device, width=width)

    def _plan(self, row: Row[Memory], prefix: Prefix) -> RtcPrefix:
        """Return the running plan in the policy's own space; relative actions from where the robot is now."""
        if relative_step(self._loaded.preprocessor) is None:
            actions = torch.tensor(prefix.model)
        else:
            state = torch.tensor(row.observation.state[self._features.states[STATE]])
            actions = reanchor(torch.tensor(prefix.robot)[None], state[None], self._loaded.preprocessor)[0]
        return RtcPrefix(actions, row.inference_delay, row.prefix_horizon)

    def _keeps_frames(self) -> bool:
        """Return whether the preprocessor hands frames on as they are: then they need not go through it."""
        state = np.zeros(self._features.spec.state_dim, np.float32)
        frames = sample_frames(self._features)
        row = Row(Memory(), Observation(state, frames, "", 0), 0, None, 0, 0, seed=0)
        device = self._loaded.device
        stacks = stacked_frames([frames], self._features, fits_frames=True, device=device)
        try:
            with torch.inference_mode():
                batch = self._loaded.preprocessor(collate([row], self._features, device) | stacks)
        except Exception:  # noqa: BLE001 - the warm-up will tell what it does not like
            return False
        finally:
            self._forget()
        return all(key in batch and torch.equal(batch[key], stack) for key, stack in stacks.items())

    def _forget(self) -> None:
        """Drop the state that relative actions were anchored to; the next batch brings its own."""
        for step in self._loaded.preprocessor.steps:
            if isinstance(step, RelativeActionsProcessorStep):
                step._last_state = None  # noqa: SLF001 - `reset` leaves it
        if self._masked is not None:
            self._masked.take(())


class _Sampler(Protocol):
    def __call__(self, batch_size: int, *, generator: list[torch.Generator], **options: object) -> Tensor: ...


class _SeededSampling:
    """The sampler of a diffusion model, with a source per row for the noise that it adds at every step."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._sample: _Sampler = model.conditional_sample
        self.sources: list[torch.Generator] = []
        model.conditional_sample = self

    def __call__(self, batch_size: int, **options: object) -> Tensor:
        return self._sample(batch_size, generator=self.sources, **options)


def _fill_queues(policy: PreTrainedPolicy, batch: Batch, *, is_again: bool) -> None:
    """Put the observation where the chunk API of this policy reads it from, as its `select_action` does.

    Args:
        policy: has queues.
        batch: the observation; gets the stacked frames, too.
        is_again: it is of the step of the last one, and takes its place: the request was asked again.
    """
    queues = policy._queues  # noqa: SLF001 - it has no other way in
    frames = [batch[key] for key in policy.config.image_features]
    if frames and OBS_IMAGES in queues:
        batch[OBS_IMAGES] = torch.stack(frames, dim=-4)
    if frames and OBS_IMAGE in queues:
        batch[OBS_IMAGE] = frames[0]
    if is_again:
        for key in queues.keys() & batch.keys():
            queues[key].pop()
    policy._queues = populate_queues(queues, batch, exclude_keys=[ACTION])  # noqa: SLF001 - likewise


def _seeded(loaded: Loaded, batch: Batch, seed: int) -> Tensor:
    """Return the chunk of a policy that takes no noise; torch's own generators are as before afterwards."""
    with torch.random.fork_rng(devices=[loaded.device] if loaded.device.type == "cuda" else []):
        torch.manual_seed(seed)
        chunk: Tensor = loaded.policy.predict_action_chunk(batch)
    return chunk
