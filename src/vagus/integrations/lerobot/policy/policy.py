"""LeRobot policy for a server: `vagus serve --policy lerobot --model <directory or hub id>`."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

import torch

from vagus.errors import ConfigError, PolicyError
from vagus.integrations.lerobot.policy.batch import Memory, check_row
from vagus.integrations.lerobot.policy.checkpoint import read_checkpoint
from vagus.integrations.lerobot.policy.families import Family, family_of
from vagus.integrations.lerobot.policy.features import features_of, rtc_of
from vagus.integrations.lerobot.policy.forward import Forward
from vagus.integrations.lerobot.policy.guidance import check_guidance
from vagus.integrations.lerobot.policy.loading import load, out_of_memory
from vagus.integrations.lerobot.policy.options import LeRobotOptions
from vagus.integrations.lerobot.policy.rtc import install_rtc
from vagus.integrations.lerobot.policy.source import local_directory
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Row, ServingMode, failure_of
from vagus.types import ActionChunk, Observation

__all__ = ["LeRobotPolicy"]


class LeRobotPolicy:
    """A LeRobot checkpoint as a policy.

    Args:
        model: a directory or a hub id.
        revision: branch, tag or commit on the hub.
        device: e.g. "cuda:0"; "": that of the checkpoint where it is there, else the best one.
        dtype: float32, bfloat16 or float16; "": that of the checkpoint.
        rtc_schedule: as in the server's settings; "": the checkpoint's, else LeRobot's default.
        rtc_max_guidance: likewise.
        stated: what the manifest says of actions, state and cameras.
        trained_rate_hz: policy steps per second in the data that it was trained on.
        options: settings of this backend alone.

    Raises:
        ConfigError: the source is not allowed, files are missing or do not fit, or something is unstated.
        PolicyError: the hub does not answer, or the model does not fit into memory.
    """

    options_type = LeRobotOptions

    def __init__(  # noqa: PLR0913 - one line each in the manifest
        self,
        *,
        model: str = "",
        revision: str = "main",
        device: str = "",
        dtype: str = "",
        rtc_schedule: str = "",
        rtc_max_guidance: float | None = None,
        stated: SpecTable | None = None,
        trained_rate_hz: float | None = None,
        options: LeRobotOptions | None = None,
    ) -> None:
        own = options or LeRobotOptions()
        path = local_directory(model, revision, own.allowed_sources)
        checkpoint = read_checkpoint(path, allowed_classes=own.allowed_classes)
        self._family = _servable(checkpoint.policy_type)
        check_guidance(checkpoint.config)
        features = features_of(
            checkpoint, self._family, stated or SpecTable(), model=model, trained_rate_hz=trained_rate_hz
        )
        loaded = load(checkpoint, device=device, dtype=dtype, options=own)
        rtc = rtc_of(checkpoint.config, features.spec.horizon)
        rtc = replace(
            rtc,
            schedule=rtc_schedule or rtc.schedule,
            max_guidance=rtc.max_guidance if rtc_max_guidance is None else rtc_max_guidance,
        )
        has_rtc = install_rtc(
            loaded.policy,
            schedule=rtc.schedule,
            max_guidance=rtc.max_guidance,
            prefix_horizon=rtc.prefix_horizon,
        )
        self.spec = replace(features.spec, rtc=rtc if has_rtc else None)
        self.serving_mode = self._family.mode
        self.serving_reason = self._family.reason
        self.model_hash = hashlib.sha256(repr((checkpoint.digest, dtype, own.tokenizer)).encode()).hexdigest()
        self._features = features
        self._forward: Forward | None = Forward(loaded, features, self._family)
        self._forward_rows: list[int] = []

    def open_session(self) -> Memory:
        """Return an empty memory."""
        return Memory()

    def begin_episode(self, session: Memory) -> None:
        """Forget the observations of the last episode; a policy with state of its own forgets that, too."""
        session.seen.clear()
        if self.serving_mode is ServingMode.EXCLUSIVE:
            self._running().begin_episode()

    def infer(self, batch: Sequence[Row[Memory]]) -> list[ActionChunk | PolicyError]:
        """Return a chunk per row, or what is wrong with the row.

        Rows with the same `batch_key` go through the network together, pre- and postprocessors included.
        """
        results: list[ActionChunk | PolicyError | None] = [check_row(row, self._features) for row in batch]
        good = [index for index, failure in enumerate(results) if failure is None]
        self._forward_rows = [0] * len(batch)
        for group in self._groups(batch, good):
            answers, size = self._run([batch[i] for i in group])
            for index, answer in zip(group, answers, strict=True):
                results[index], self._forward_rows[index] = answer, size
        return [result for result in results if result is not None]

    def forward_rows(self) -> Sequence[int]:
        """Return, for each row of the last batch, the rows in its forward pass; 0: it was in none."""
        return self._forward_rows

    def batch_key(self, observation: Observation) -> Hashable:
        """Return what observations must have alike to be in one forward pass, such as the cameras."""
        forward = self._forward
        return () if forward is None else forward.frames_key(observation)

    def close(self) -> None:
        """Free the device."""
        self._forward = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _groups(self, batch: Sequence[Row[Memory]], indices: Iterable[int]) -> list[list[int]]:
        """Return which rows can be one batch; those of a policy with state of its own are alone."""
        if self.serving_mode is ServingMode.EXCLUSIVE:
            return [[index] for index in indices]
        groups: dict[Hashable, list[int]] = {}
        for index in indices:
            groups.setdefault(self.batch_key(batch[index].observation), []).append(index)
        return list(groups.values())

    def _run(self, rows: Sequence[Row[Memory]]) -> tuple[Sequence[ActionChunk | PolicyError], int]:
        """Return one result per row, and the rows of a pass: where a batch fails, each row is tried alone."""
        try:
            return self._running().run(rows), len(rows)
        except Exception as error:  # noqa: BLE001 - a framework may raise anything; its robot is told
            if out_of_memory(error):
                return [_no_memory(len(rows))] * len(rows), len(rows)
            if len(rows) == 1:
                return [failure_of(error)], 1
        return [self._run([row])[0][0] for row in rows], 1

    def _running(self) -> Forward:
        if self._forward is None:
            raise PolicyError("the policy is closed")
        return self._forward


def _servable(policy_type: str) -> Family:
    family = family_of(policy_type)
    if family.mode is ServingMode.REFUSED:
        raise ConfigError(
            f"policy type {policy_type!r}",
            wanted="one that gives chunks of actions",
            got=f"one that cannot be served, because {family.reason}",
            fix="run it beside the robot",
        )
    return family


def _no_memory(rows: int) -> PolicyError:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    advice = f"set max_batch below {rows}, or" if rows > 1 else "choose"
    return PolicyError(
        f"out of memory with {rows} rows in one batch; {advice} a smaller number format (dtype bfloat16) "
        "or a device with more memory"
    )
