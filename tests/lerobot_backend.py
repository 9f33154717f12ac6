"""Tiny checkpoints as LeRobot saves them, and the requests that are made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.policies.tdmpc.configuration_tdmpc import TDMPCConfig
from lerobot.policies.utils import prepare_observation_for_inference
from lerobot.policies.vqbet.configuration_vqbet import VQBeTConfig
from lerobot.processor import PolicyProcessorPipeline
from torch import Tensor

from vagus.integrations.lerobot.policy.batch import Memory
from vagus.integrations.lerobot.policy.options import LeRobotOptions
from vagus.integrations.lerobot.policy.policy import LeRobotPolicy
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Row
from vagus.types import ActionChunk, FloatArray, Image, Observation

SIZE = 64
JOINTS = tuple(f"joint_{index}.pos" for index in range(6))
UNITS = dict.fromkeys(JOINTS, "lerobot_norm")
TABLE = SpecTable(actions=UNITS, state=UNITS)
RATE_HZ = 30.0

SEEN = {
    "observation.state": PolicyFeature(FeatureType.STATE, (6,)),
    "observation.images.front": PolicyFeature(FeatureType.VISUAL, (3, SIZE, SIZE)),
}
GIVEN = {"action": PolicyFeature(FeatureType.ACTION, (6,))}


def act_config(**changes: object) -> PreTrainedConfig:
    options: dict[str, object] = {
        "device": "cpu",
        "input_features": dict(SEEN),
        "output_features": dict(GIVEN),
        "chunk_size": 20,
        "n_action_steps": 20,
        "pretrained_backbone_weights": None,
        "dim_model": 32,
        "n_heads": 4,
        "dim_feedforward": 64,
        "n_encoder_layers": 1,
        "n_decoder_layers": 1,
        "n_vae_encoder_layers": 1,
        "latent_dim": 8,
    }
    return ACTConfig(**{**options, **changes})


def diffusion_config(**changes: object) -> PreTrainedConfig:
    options: dict[str, object] = {
        "device": "cpu",
        "input_features": dict(SEEN),
        "output_features": dict(GIVEN),
        "n_obs_steps": 2,
        "horizon": 16,
        "n_action_steps": 8,
        "crop_shape": None,
        "crop_ratio": 1.0,
        "pretrained_backbone_weights": None,
        "noise_scheduler_type": "DDIM",
        "prediction_type": "sample",  # with random weights, "epsilon" blows rounding errors up a hundredfold
        "num_inference_steps": 3,
        "down_dims": (32, 64),
        "n_groups": 8,
        "diffusion_step_embed_dim": 16,
    }
    return DiffusionConfig(**{**options, **changes})


def vqbet_config() -> PreTrainedConfig:
    return VQBeTConfig(
        device="cpu",
        input_features=dict(SEEN),
        output_features=dict(GIVEN),
        n_obs_steps=3,
        crop_shape=None,
        pretrained_backbone_weights=None,
        gpt_n_layer=1,
        gpt_n_head=2,
        gpt_hidden_dim=16,
        gpt_input_dim=16,
        gpt_output_dim=16,
        vqvae_n_embed=4,
        vqvae_embedding_dim=8,
        vqvae_enc_hidden_dim=8,
    )


def tdmpc_config(inputs: dict[str, PolicyFeature]) -> PreTrainedConfig:
    return TDMPCConfig(
        device="cpu",
        input_features=inputs,
        output_features=dict(GIVEN),
        latent_dim=8,
        mlp_dim=16,
        q_ensemble_size=2,
        image_encoder_hidden_dim=8,
        state_encoder_hidden_dim=8,
        n_gaussian_samples=8,
        n_pi_samples=2,
        n_elites=4,
        cem_iterations=2,
    )


def save(config: PreTrainedConfig, path: Path) -> Path:
    """Write a policy with random weights as LeRobot's training does."""
    torch.manual_seed(7)
    policy = get_policy_class(config.type)(config).eval()
    if config.type == "vqbet":
        policy.vqbet.action_head.vqvae_model.discretized.fill_(True)
    before, after = make_pre_post_processors(config, dataset_stats=stats(config))
    for part in (policy, before, after):
        part.save_pretrained(path)
    return path


def stats(config: PreTrainedConfig) -> dict[str, dict[str, Tensor]]:
    features = {**config.input_features, **config.output_features}
    found = {}
    for key, feature in features.items():
        shape = (3, 1, 1) if feature.type is FeatureType.VISUAL else feature.shape
        low, high = torch.full(shape, -2.0), torch.full(shape, 3.0)
        found[key] = {"mean": torch.full(shape, 0.4), "std": torch.full(shape, 1.7), "min": low, "max": high}
    return found


def served(path: Path, **options: object) -> LeRobotPolicy:
    """Return the checkpoint at `path`, loaded as a manifest would have it loaded."""
    said: dict[str, object] = {
        "model": str(path),
        "stated": TABLE,
        "trained_rate_hz": RATE_HZ,
        "device": "cpu",
    }
    own = {entry.name: options.pop(entry.name) for entry in fields(LeRobotOptions) if entry.name in options}
    own = {"allowed_sources": (str(path.parent),), **own}
    said["options"] = LeRobotOptions(**own)  # type: ignore[arg-type] # the test names what it changes
    return LeRobotPolicy(**{**said, **options})  # type: ignore[arg-type] # likewise


class Local:
    """A policy as LeRobot runs it beside the robot."""

    def __init__(self, path: Path) -> None:
        config = PreTrainedConfig.from_pretrained(str(path))
        self.policy: PreTrainedPolicy = get_policy_class(config.type).from_pretrained(str(path))
        pipelines = make_pre_post_processors(config, pretrained_path=str(path))
        self.before: PolicyProcessorPipeline = pipelines[0]
        self.after: PolicyProcessorPipeline = pipelines[1]

    def prepared(self, observation: Observation) -> dict[str, Tensor]:
        raw = {f"observation.images.{name}": image.copy() for name, image in observation.images.items()}
        raw_batch = prepare_observation_for_inference(
            {"observation.state": observation.state.copy(), **raw},
            torch.device("cpu"),
            observation.instruction,
        )
        batch: dict[str, Tensor] = self.before(raw_batch)
        return batch

    def chunk(self, batch: Mapping[str, object], **options: object) -> tuple[FloatArray, FloatArray]:
        """Return the chunk in the policy's own space and in the robot's units."""
        with torch.inference_mode():
            chunk = self.policy.predict_action_chunk(dict(batch), **options)
            robot: FloatArray = self.after(chunk)[0].numpy()
            model: FloatArray = chunk[0].numpy()
        return model, robot


def frame(seed: int, size: tuple[int, int] = (SIZE, SIZE)) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def seen(seed: int, *, instruction: str = "", cameras: tuple[str, ...] = ("front",)) -> Observation:
    state = np.random.default_rng(seed + 1000).standard_normal(6).astype(np.float32)
    images = {name: frame(seed + index) for index, name in enumerate(cameras)}
    return Observation(state, images, instruction, 0)


def row(
    observation: Observation, session: Memory | None = None, *, step: int = 0, seed: int = 5
) -> Row[Memory]:
    return Row(Memory() if session is None else session, observation, step, None, 0, 0, seed)


def good(results: Sequence[object]) -> list[ActionChunk]:
    """Return the results, all of which must be chunks."""
    chunks = [result for result in results if isinstance(result, ActionChunk)]
    assert len(chunks) == len(results), results
    return chunks


def assert_near(array: FloatArray, wanted: FloatArray) -> None:
    """Fail where two arrays differ by more than 1e-5 anywhere."""
    np.testing.assert_allclose(array, wanted, atol=1e-5, rtol=0.0)
