"""The policy type `vagus` for LeRobot: no weights, a served policy behind it.

`from_pretrained` asks the server what it serves, before the robot is connected, and fills in the features
that LeRobot checks. Config, policy and processors share this module because LeRobot finds the latter two by
the name of the first's module.
"""

from __future__ import annotations

import logging
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from lerobot.processor import (
    IdentityProcessorStep,
    PolicyActionProcessorStep,
    PolicyProcessorPipeline,
    policy_action_to_transition,
    transition_to_policy_action,
)
from torch import Tensor

from vagus.control.fallback import keeps_moving
from vagus.edge.client.blocking import BlockingClient, ChunkRequest
from vagus.edge.client.discovery import Endpoint
from vagus.edge.client.session import parse_service
from vagus.edge.config import EdgeConfig
from vagus.errors import ConfigError, StateError
from vagus.integrations.lerobot.rollout.names import identity_of
from vagus.integrations.lerobot.version import check_lerobot, waits_for_compiler
from vagus.specs import ActionKind, CameraSpec, PolicySpec, RobotSpec
from vagus.transport.zenoh_config import ZenohConfig
from vagus.types import FloatArray, Image, Prefix

__all__ = ["VagusConfig", "VagusPolicy", "make_vagus_pre_post_processors"]

logger = logging.getLogger(__name__)

STATE = "observation.state"
IMAGES = "observation.images."
COMPILED_ELSEWHERE = (
    "--use_torch_compile has no effect: the network is on the server; "
    "`options: {compile: true}` in its manifest compiles it"
)
MARK = 1.0
"""First number of every row: it tells actions from the rows of zeros that LeRobot pads a plan with."""


@PreTrainedConfig.register_subclass("vagus")
@dataclass
class VagusConfig(PreTrainedConfig):  # type: ignore[misc]
    """Settings of the served policy: its address, and how this robot talks to it."""

    endpoint: str = ""
    """Where to connect to, comma-separated, e.g. tcp/gpu-server:7447; empty: as `zenoh` says."""
    service: str = ""
    """model/revision or model/revision/name; empty: the only service on the network."""
    name: str = field(default_factory=socket.gethostname)
    """Name of this robot, unique among the robots of a server."""
    rename: dict[str, str] = field(default_factory=dict)
    """Robot name → policy name, for actions, state features and cameras; `--rename_map` counts too."""
    mapping: str = ""
    """File that states what the robot does not: units, kinds, limits; `vagus lerobot-rollout` only."""
    provenance: bool = True
    """Record where each action came from, in columns of its own; `vagus lerobot-rollout` only."""
    tags: dict[str, str] = field(default_factory=dict)
    """Free text for the server's log and audit, e.g. '{site: lab2}'."""
    untested_lerobot: bool = False
    """Vouch for a release of LeRobot that this vagus was not tested with."""
    zenoh: ZenohConfig = field(default_factory=ZenohConfig)
    edge: EdgeConfig = field(default_factory=EdgeConfig)
    device: str | None = "cpu"
    action_feature_names: list[str] | None = None
    """Filled by the server: names of the actions, in its order, as the robot calls them."""
    rtc_config: RTCConfig | None = None
    is_engine_ours = False  # no field, and so no flag: `vagus lerobot-rollout` says so
    """Whether chunks are asked for by vagus, which compares names and units, or by LeRobot."""

    @property
    def contact(self) -> Endpoint:
        """Address of the service."""
        return Endpoint(self.endpoint, self.service, self.zenoh, self.edge)

    def check_release(self) -> None:
        """Refuse a LeRobot that vagus was not tested with, unless somebody vouches for it."""
        check_lerobot("--policy.untested_lerobot=true", is_vouched=self.untested_lerobot)

    @property
    def compile_model(self) -> bool:
        """Whether to compile the model: never here; LeRobot asks because of --use_torch_compile."""
        return False

    @compile_model.setter
    def compile_model(self, is_wanted: bool) -> None:
        if is_wanted and waits_for_compiler():
            raise ConfigError(
                "--use_torch_compile",
                wanted="nothing to compile here",
                got="true",
                fix="leave it out (LeRobot 0.6.0 would wait for it for ever): the network is on the server",
            )
        if is_wanted:
            logger.warning(COMPILED_ELSEWHERE)

    def take(self, spec: PolicySpec) -> None:
        """Fill in the features of the served policy, in the robot's names.

        Cameras are left out where the session's open compares them: LeRobot would, with the robot connected.
        """
        own = {policy: robot for robot, policy in self.rename.items()}
        self.action_feature_names = [own.get(f.name, f.name) for f in spec.actions]
        self.output_features = {"action": PolicyFeature(FeatureType.ACTION, (spec.action_dim,))}
        self.input_features = {
            f"{IMAGES}{own.get(c.name, c.name)}": PolicyFeature(FeatureType.VISUAL, (3, c.height, c.width))
            for c in spec.cameras
            if c.is_required and not self.is_engine_ours
        }
        if spec.state:
            self.input_features[STATE] = PolicyFeature(FeatureType.STATE, (spec.state_dim,))

    @property
    def observation_delta_indices(self) -> None:
        """The newest observation only."""

    @property
    def action_delta_indices(self) -> None:
        """Nothing is trained here."""

    @property
    def reward_delta_indices(self) -> None:
        """Nothing is trained here."""

    def get_optimizer_preset(self) -> object:
        """Refuse: nothing is trained here."""
        raise StateError("the policy type `vagus` holds no weights; train the policy that is served")

    def get_scheduler_preset(self) -> None:
        """Nothing is trained here."""

    def validate_features(self) -> None:
        """Do nothing: the server states its features."""


class VagusPolicy(PreTrainedPolicy):  # type: ignore[misc]
    """A served policy as LeRobot's policy class: asks the server for each chunk, on the calling thread.

    A row is [1, the action in the model's space, the action in the robot's units], so that what LeRobot
    hands back as the rest of the plan is the prefix that the server needs; the postprocessor keeps the last.
    """

    config_class = VagusConfig
    name = "vagus"

    def __init__(self, config: VagusConfig, spec: PolicySpec) -> None:
        """Keep the contract; nothing is sent."""
        super().__init__(config)
        self.spec = spec
        self._chunks: BlockingClient | None = None
        self._link = ExitStack()
        self.task = ""

    @classmethod
    def from_pretrained(
        cls, pretrained_name_or_path: str | Path | None = None, *, config: VagusConfig, **_: object
    ) -> VagusPolicy:
        """Ask the server for its capabilities, and return a policy without weights.

        Raises:
            LinkError: no server is ready.
            ConfigError: a path was given, there are several services and none was chosen, or LeRobot's engine
                cannot drive such a robot.
        """
        if pretrained_name_or_path:
            raise ConfigError(
                "policy.pretrained_path",
                wanted="none: the server holds the weights",
                got=str(pretrained_name_or_path),
            )
        config.check_release()
        spec = config.contact.ask()
        if not config.is_engine_ours:
            _check_stands(spec)
        config.take(spec)
        return cls(config, spec)

    # -- LeRobot's policy API ---------------------------------------------------------------------------

    def supports_rtc(self) -> bool:
        """LeRobot's asynchronous engine may be used; whether chunks are conditioned is up to the server."""
        return True

    def reset(self) -> None:
        """Begin a new episode."""
        if self._chunks is not None:
            self._chunks.begin_episode()

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse to replace `predict_action_chunk`.

        LeRobot then goes on without compiling. Otherwise it waits for inferences that warm the compiler up,
        and makes none while a long chunk is in its queue: the robot would stand for ever.
        """
        if name == "predict_action_chunk":
            raise ConfigError(name, wanted="no compiled method: there is no network in it", got="another")
        super().__setattr__(name, value)

    def predict_action_chunk(
        self,
        batch: dict[str, Tensor],
        inference_delay: int = 0,
        prev_chunk_left_over: Tensor | None = None,
        **_: object,
    ) -> Tensor:
        """Return (1, n, 1 + model_dim + action_dim).

        Raises:
            VagusError: no server, no answer, or a refusal.
        """
        images = self._images(batch)
        if self._chunks is None:
            self._chunks = BlockingClient(
                self._link.enter_context(self.config.contact.link()),
                self._mirror(images),
                identity_of(self.config.name, self.config.tags),
                self.config.edge,
                service=parse_service(self.config.service, setting="policy.service"),
            )
        self._chunks.instruction = _task_of(batch)
        prefix = self._prefix(prev_chunk_left_over)
        horizon = 0 if self.config.rtc_config is None else self.config.rtc_config.execution_horizon
        chunk = self._chunks.ask(
            ChunkRequest(
                state=_state_of(batch),
                images=images,
                prefix=prefix,
                inference_delay=0 if prefix is None else min(inference_delay, len(prefix)),
                prefix_horizon=0 if prefix is None else min(horizon, self.spec.horizon),
            )
        )
        mark = np.full((len(chunk), 1), MARK, dtype=np.float32)
        return torch.from_numpy(np.concatenate([mark, chunk.model, chunk.robot], axis=1))[None]

    def select_action(self, batch: dict[str, Tensor], **_: object) -> Tensor:  # noqa: ARG002
        """Refuse.

        Raises:
            ConfigError: always. It would block the control loop for a round trip per chunk, and LeRobot
                0.6.1 reorders such actions by the robot's names whatever the policy's order is.
        """
        raise ConfigError(
            "inference.type",
            wanted="vagus (or rtc)",
            got="sync",
            fix="add --inference.type=vagus, or use `vagus lerobot-rollout`",
        )

    def forward(self, batch: dict[str, Tensor]) -> Tensor:  # noqa: ARG002
        """Refuse: nothing is trained here."""
        raise StateError("the policy type `vagus` holds no weights; train the policy that is served")

    def get_optim_params(self) -> dict[str, object]:
        """Return no parameters: there is nothing to optimise."""
        return {}

    def close(self) -> None:
        """End the session, if one is open, and leave the network."""
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            chunks.close()
        self._link.close()

    # -- parts ------------------------------------------------------------------------------------------

    def _mirror(self, images: dict[str, Image]) -> RobotSpec:
        """Return a robot with the policy's features: LeRobot's engine matches by position, not by name."""
        cameras = tuple(CameraSpec(name, *frame.shape[:2]) for name, frame in images.items())
        return RobotSpec("lerobot", self.spec.actions, self.spec.state, cameras, self.spec.rate_hz)

    def _images(self, batch: dict[str, Tensor]) -> dict[str, Image]:
        rename = self.config.rename
        names = {key: key.removeprefix(IMAGES) for key in batch if key.startswith(IMAGES)}
        return {rename.get(name, name): _frame_of(batch[key]) for key, name in names.items()}

    def _prefix(self, left_over: Tensor | None) -> Prefix | None:
        """Return the rest of the running plan without the zeros that LeRobot pads it with."""
        if left_over is None:
            return None
        rows = left_over.reshape(-1, left_over.shape[-1]).numpy()
        rows = rows[rows[:, 0] == MARK][: self.spec.horizon]
        if not len(rows):
            return None
        width = self.spec.model_dim
        return Prefix(model=rows[:, 1 : 1 + width].copy(), robot=rows[:, 1 + width :].copy())


class RobotUnitsStep(PolicyActionProcessorStep):  # type: ignore[misc]
    """Keeps the last `action_dim` numbers of a row: the action in the robot's units."""

    def __init__(self, action_dim: int) -> None:
        self._action_dim = action_dim

    def action(self, action: Tensor) -> Tensor:
        """Return (…, action_dim)."""
        return action[..., -self._action_dim :]

    def transform_features(self, features: dict[object, object]) -> dict[object, object]:
        """Change nothing: LeRobot knows the features in the robot's units."""
        return features


def make_vagus_pre_post_processors(
    config: VagusConfig, dataset_stats: dict[str, dict[str, Tensor]] | None = None
) -> tuple[PolicyProcessorPipeline, PolicyProcessorPipeline]:
    """Return pipelines that compute nothing: the server has the policy's own."""
    del dataset_stats
    names = config.action_feature_names or []
    return (
        PolicyProcessorPipeline(steps=[IdentityProcessorStep()], name="vagus_preprocessor"),
        PolicyProcessorPipeline(
            steps=[RobotUnitsStep(len(names))],
            name="vagus_postprocessor",
            to_transition=policy_action_to_transition,
            to_output=transition_to_policy_action,
        ),
    )


def _check_stands(spec: PolicySpec) -> None:
    """Refuse robots that LeRobot's engine does not stop, and encodings that it would not decode.

    It sends nothing while it has no plan, and knows no encodings: between 0 and 1 it interpolates.

    Raises:
        ConfigError: an action of `spec` is a velocity, a delta, an effort or a binary.
    """
    moving = [
        f"{feature.name} ({feature.kind.value})"
        for feature in spec.actions
        if keeps_moving(feature) or feature.kind is ActionKind.BINARY
    ]
    if moving:
        raise ConfigError(
            "policy.service",
            wanted="a policy that commands positions only: without a plan LeRobot's engine sends nothing",
            got=", ".join(moving),
            fix="use `vagus lerobot-rollout`",
        )


def _state_of(batch: dict[str, Tensor]) -> FloatArray:
    if STATE not in batch:
        return np.zeros(0, dtype=np.float32)
    state: FloatArray = batch[STATE].reshape(-1).to("cpu", torch.float32).numpy().copy()
    return state


def _task_of(batch: dict[str, Tensor]) -> str:
    task = batch.get("task", "")
    return str(task[0]) if isinstance(task, list) and task else str(task or "")


def _frame_of(image: Tensor) -> Image:
    """Return the original frame, (height, width, 3) uint8, of LeRobot's (1, 3, height, width) in 0…1."""
    frame = (image[0].to("cpu") * 255.0).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(frame.permute(1, 2, 0).numpy())
