"""Tiny checkpoints of LeRobot's vision-language-action policies, made without a network.

Their weights are random: what they prove is structure (what depends on what), not skill. LeRobot hard-codes
the sizes of π0 and π0.5, so `tiny_gemma` shrinks them for as long as it is entered, also while loading.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies import pretrained
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.multi_task_dit.configuration_multi_task_dit import MultiTaskDiTConfig
from lerobot.policies.pi0 import modeling_pi0
from lerobot.policies.pi0.configuration_pi0 import PI0Config
from lerobot.policies.pi05 import modeling_pi05
from lerobot.policies.pi05.configuration_pi05 import PI05Config
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from transformers import AutoTokenizer, CLIPConfig, CLIPModel, GemmaConfig, PaliGemmaConfig

from benchmarks.programs.random_checkpoints import (
    TINY_TEXT,
    TINY_VISION,
    alphabet,
    char_tokenizer,
    make_vlm,
    point_at_tokenizer,
)

__all__ = [
    "ACTION_DIM",
    "ACTION_NAMES",
    "CAMERAS",
    "CHUNK",
    "IMAGE_SIDE",
    "STATE_DIM",
    "VLA_MAKERS",
    "make_multi_task_dit",
    "tiny_gemma",
]

STATE_DIM = 6
ACTION_DIM = 6
ACTION_NAMES = ("pan.pos", "lift.pos", "elbow.pos", "flex.pos", "roll.pos", "gripper.pos")
CAMERAS = ("front", "wrist")
IMAGE_SIDE = 64
CHUNK = 20
FLOW_STEPS = 5
MODEL_DIM = 8
"""Policies pad actions to this; more than ACTION_DIM, as in the real ones."""


def make_smolvla(folder: Path, **changes: object) -> None:
    """Make a SmolVLA of 0.3 M parameters; its vision-language model lies in `folder`/vlm."""
    vlm = folder / "vlm"
    make_vlm(vlm, {**TINY_TEXT, "vocab_size": len(alphabet())}, TINY_VISION, scale_factor=2)
    options: dict[str, object] = {
        "vlm_model_name": str(vlm),
        "load_vlm_weights": False,
        "num_vlm_layers": 2,
        "num_steps": FLOW_STEPS,
        "resize_imgs_with_padding": (IMAGE_SIDE, IMAGE_SIDE),
    }
    _save(SmolVLAConfig(**_options(**{**options, **changes})), folder)


def make_pi0(folder: Path, *, is_relative: bool = False, **changes: object) -> None:
    """Make a π0; load it under `tiny_gemma`."""
    _make_pi(PI0Config, folder, is_relative=is_relative, **changes)


def make_pi05(folder: Path, *, is_relative: bool = False, **changes: object) -> None:
    """Make a π0.5; load it under `tiny_gemma`."""
    _make_pi(PI05Config, folder, is_relative=is_relative, **changes)


def make_multi_task_dit(folder: Path, *, objective: str) -> None:
    """Make a multi-task diffusion transformer; its CLIP lies in `folder`/clip."""
    clip = folder / "clip"
    _make_clip(clip)
    config = MultiTaskDiTConfig(
        **_features(),
        device="cpu",
        objective=objective,
        n_obs_steps=2,
        horizon=16,
        n_action_steps=8,
        num_train_timesteps=4,
        num_integration_steps=4,
        hidden_dim=32,
        num_layers=1,
        num_heads=2,
        timestep_embed_dim=16,
        vision_encoder_name=str(clip),
        text_encoder_name=str(clip),
        image_crop_shape=None,
        tokenizer_max_length=40,
    )
    _save(config, folder)


VLA_MAKERS: dict[str, Callable[..., None]] = {"smolvla": make_smolvla, "pi0": make_pi0, "pi05": make_pi05}


@contextlib.contextmanager
def tiny_gemma() -> Iterator[None]:
    """Shrink what LeRobot hard-codes of π0 and π0.5, for building and for loading."""
    with contextlib.ExitStack() as patches:
        for module in (modeling_pi0, modeling_pi05):
            size = module.GemmaConfig(width=32, depth=2, mlp_dim=64, num_heads=8, num_kv_heads=1, head_dim=8)
            whole = module.PaliGemmaForConditionalGenerationWithPiGemma
            expert = module.PiGemmaForCausalLM
            replacements = {
                "get_gemma_config": lambda _variant, size=size: size,
                "PaliGemmaForConditionalGenerationWithPiGemma": _built_from(_shrunk, whole),
                "PiGemmaForCausalLM": _built_from(_small_vocabulary, expert),
            }
            for name, replacement in replacements.items():
                patches.enter_context(mock.patch.object(module, name, replacement))
        yield


def _built_from(
    change: Callable[[object], object], model: Callable[[object], object]
) -> Callable[..., object]:
    return lambda config: model(change(config))


def _make_pi(
    family: Callable[..., PI0Config | PI05Config], folder: Path, *, is_relative: bool, **changes: object
) -> None:
    tokenizer = folder / "tokenizer"
    char_tokenizer().save_pretrained(tokenizer)
    options: dict[str, object] = {
        "num_inference_steps": FLOW_STEPS,
        "image_resolution": (IMAGE_SIDE, IMAGE_SIDE),
        "tokenizer_max_length": 80,
        "use_relative_actions": is_relative,
        "action_feature_names": list(ACTION_NAMES),
    }
    config = family(**_options(**{**options, **changes}))
    loaded = AutoTokenizer.from_pretrained(tokenizer)
    with tiny_gemma(), mock.patch.object(AutoTokenizer, "from_pretrained", return_value=loaded):
        _save(config, folder)
    point_at_tokenizer(folder / "policy_preprocessor.json", tokenizer)


def _options(**own: object) -> dict[str, object]:
    """Return settings of a small VLA: those that all of them have, and `own`."""
    sizes = {"chunk_size": CHUNK, "n_action_steps": CHUNK, "max_action_dim": MODEL_DIM}
    return {**_features(), "device": "cpu", **sizes, "max_state_dim": MODEL_DIM, **own}


def _features() -> dict[str, dict[str, PolicyFeature]]:
    cameras = {
        f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, IMAGE_SIDE, IMAGE_SIDE))
        for name in CAMERAS
    }
    return {
        "input_features": {"observation.state": PolicyFeature(FeatureType.STATE, (STATE_DIM,)), **cameras},
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (ACTION_DIM,))},
    }


def _statistics(dim: int) -> dict[str, torch.Tensor]:
    """Return statistics that differ per dimension, so that no mixed-up order stays unseen."""
    mean = torch.linspace(-0.5, 0.5, dim)
    std = torch.linspace(0.5, 1.5, dim)
    low, high = mean - 2 * std, mean + 2 * std
    return {"mean": mean, "std": std, "min": low, "max": high, "q01": low, "q99": high}


def _save(config: pretrained.PreTrainedConfig, folder: Path) -> None:
    torch.manual_seed(0)
    policy = get_policy_class(config.type)(config).eval()
    _randomise(policy)
    pixels = {name: values[:, None, None] for name, values in _statistics(3).items()}
    stats = {"observation.state": _statistics(STATE_DIM), "action": _statistics(ACTION_DIM)}
    stats |= {f"observation.images.{name}": pixels for name in CAMERAS}
    before, after = make_pre_post_processors(config, dataset_stats=stats)
    policy.save_pretrained(folder)
    before.save_pretrained(folder)
    after.save_pretrained(folder)


def _randomise(policy: pretrained.PreTrainedPolicy) -> None:
    """Give weight to all: gates that are born as zeros would hide what the actions depend on."""
    with torch.no_grad():
        for parameter in policy.parameters():
            noise = torch.randn(parameter.shape)
            is_matrix = parameter.ndim > 1
            parameter.copy_(noise / parameter.shape[-1] ** 0.5 if is_matrix else parameter + 0.15 * noise)


def _small_vocabulary(config: GemmaConfig) -> GemmaConfig:
    config.vocab_size = len(alphabet())
    return config


def _shrunk(config: PaliGemmaConfig) -> PaliGemmaConfig:
    _small_vocabulary(config.text_config)
    config.image_token_id = config.image_token_index = config.text_config.vocab_size - 1
    vision = config.vision_config
    vision.hidden_size, vision.intermediate_size = 16, 32
    vision.num_hidden_layers, vision.num_attention_heads, vision.patch_size = 1, 2, 16
    vision.projection_dim = config.text_config.hidden_size
    config.projection_dim = config.text_config.hidden_size
    return config


def _make_clip(folder: Path) -> None:
    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {
        "vocab_size": len(alphabet()),
        "max_position_embeddings": 40,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    vision = {"image_size": IMAGE_SIDE, "patch_size": 16}
    config = CLIPConfig(text_config={**size, **text}, vision_config={**size, **vision}, projection_dim=16)
    CLIPModel(config).save_pretrained(folder)
    char_tokenizer().save_pretrained(folder)
