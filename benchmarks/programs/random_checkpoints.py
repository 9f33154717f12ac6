"""LeRobot checkpoints with random weights, made without a hub: of true size, or tiny ones for a processor."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol
from unittest import mock

import torch
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.pi0.configuration_pi0 import PI0Config
from lerobot.policies.pi05.configuration_pi05 import PI05Config
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

__all__ = [
    "CAMERAS",
    "JOINTS",
    "alphabet",
    "char_tokenizer",
    "make_checkpoint",
    "make_vlm",
    "point_at_tokenizer",
]

JOINTS = tuple(f"joint_{index}.pos" for index in range(14))
"""Of two arms."""
CAMERAS = ("top", "left", "right")
TINY_SIDE = 64

PAD, UNKNOWN = "<pad>", "<unk>"
SPECIAL_TOKENS = {
    "fake_image_token": "<fake_token_around_image>",
    "image_token": "<image>",
    "global_image_token": "<global-img>",
}

TEXT = {"hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 32, "num_attention_heads": 15}
TEXT |= {"num_key_value_heads": 5, "head_dim": 64, "vocab_size": 49280}
VISION = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
VISION |= {"image_size": 512, "patch_size": 16}
"""Sizes of SmolVLM2-500M, the network in SmolVLA."""
TINY_TEXT = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
TINY_TEXT |= {"num_key_value_heads": 2, "head_dim": 16, "vocab_size": 128}
TINY_VISION = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
TINY_VISION |= {"image_size": TINY_SIDE, "patch_size": 16}

COMPILE_MODE = "reduce-overhead"
"""CUDA graphs without the search of `max-autotune`, which takes many minutes per batch size."""


class Maker(Protocol):
    """Function that returns the configuration of a family, and writes what else it needs into `folder`."""

    def __call__(self, folder: Path, *, is_tiny: bool) -> PreTrainedConfig:
        """Return it."""
        ...


def make_checkpoint(family: str, folder: Path, *, device: str, is_tiny: bool) -> None:
    """Write a checkpoint of `family` with random weights.

    Args:
        family: a key of `MAKERS`.
        folder: an empty directory.
        device: where the weights are drawn, e.g. "cuda".
        is_tiny: small enough for a processor; π0 and π0.5 keep the sizes that LeRobot hard-codes.
    """
    config = MAKERS[family](folder, is_tiny=is_tiny)
    config.device = device
    if hasattr(config, "compile_mode"):
        config.compile_mode = COMPILE_MODE
    tokenizer = folder / "tokenizer"
    char_tokenizer().save_pretrained(tokenizer)
    loaded = AutoTokenizer.from_pretrained(tokenizer)
    torch.manual_seed(0)
    with torch.device(device):
        policy = get_policy_class(config.type)(config).eval()
    with mock.patch.object(AutoTokenizer, "from_pretrained", return_value=loaded):  # theirs is on a hub
        pipelines = make_pre_post_processors(config, dataset_stats=_statistics(config))
    for part in (policy, *pipelines):
        part.save_pretrained(folder)
    point_at_tokenizer(folder / "policy_preprocessor.json", tokenizer)


def _features(cameras: int, height: int, width: int) -> dict[str, dict[str, PolicyFeature]]:
    frames = {
        f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, height, width))
        for name in CAMERAS[:cameras]
    }
    vector = (len(JOINTS),)
    return {
        "input_features": {"observation.state": PolicyFeature(FeatureType.STATE, vector), **frames},
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, vector)},
    }


def _act(folder: Path, *, is_tiny: bool) -> PreTrainedConfig:  # noqa: ARG001
    side = (TINY_SIDE, TINY_SIDE) if is_tiny else (480, 640)
    small = {"dim_model": 32, "n_heads": 4, "dim_feedforward": 64, "n_encoder_layers": 1}
    return ACTConfig(
        **_features(2, *side), pretrained_backbone_weights=None, device="cpu", **(small if is_tiny else {})
    )


def _diffusion(folder: Path, *, is_tiny: bool) -> PreTrainedConfig:  # noqa: ARG001
    side = TINY_SIDE if is_tiny else 224
    small = {"down_dims": (32, 64), "diffusion_step_embed_dim": 16}
    return DiffusionConfig(
        **_features(2, side, side),
        pretrained_backbone_weights=None,
        device="cpu",
        crop_shape=None,
        crop_ratio=1.0,
        noise_scheduler_type="DDIM",
        prediction_type="sample",  # with random weights, noise grows from step to step
        num_inference_steps=10,
        **(small if is_tiny else {}),
    )


def _smolvla(folder: Path, *, is_tiny: bool) -> PreTrainedConfig:
    vlm = folder / "vlm"
    if is_tiny:
        make_vlm(vlm, TINY_TEXT, TINY_VISION, scale_factor=2)
    else:
        make_vlm(vlm, TEXT, VISION, scale_factor=4)
    small = {"num_vlm_layers": 2, "resize_imgs_with_padding": (TINY_SIDE, TINY_SIDE)}
    return SmolVLAConfig(
        **_features(2, 480, 640),
        device="cpu",
        vlm_model_name=str(vlm),
        load_vlm_weights=False,
        **(small if is_tiny else {}),
    )


def _pi(kind: Callable[..., PreTrainedConfig]) -> Maker:
    def made(folder: Path, *, is_tiny: bool) -> PreTrainedConfig:  # noqa: ARG001
        small = {"image_resolution": (TINY_SIDE, TINY_SIDE), "num_inference_steps": 2}
        number_format = "float32" if is_tiny else "bfloat16"
        return kind(**_features(3, 480, 640), device="cpu", dtype=number_format, **(small if is_tiny else {}))

    return made


MAKERS: Mapping[str, Maker] = {
    "act": _act,
    "diffusion": _diffusion,
    "smolvla": _smolvla,
    "pi0": _pi(PI0Config),
    "pi05": _pi(PI05Config),
}


def _statistics(config: PreTrainedConfig) -> dict[str, dict[str, torch.Tensor]]:
    found = {}
    for key, feature in {**config.input_features, **config.output_features}.items():
        shape = (3, 1, 1) if feature.type is FeatureType.VISUAL else feature.shape
        low, high, zero, one = (torch.full(shape, value) for value in (-1.0, 1.0, 0.0, 1.0))
        found[key] = {"mean": zero, "std": one, "min": low, "max": high, "q01": low, "q99": high}
    return found


def alphabet() -> list[str]:
    """Return the tokens of `char_tokenizer`, in order."""
    printable = [chr(code) for code in range(32, 127)]
    return [PAD, UNKNOWN, "\n", *printable, *SPECIAL_TOKENS.values()]


def char_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per character."""
    vocabulary = {token: index for index, token in enumerate(alphabet())}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        extra_special_tokens=dict(SPECIAL_TOKENS),
    )


def point_at_tokenizer(settings: Path, tokenizer: Path) -> None:
    """Write the directory of a tokenizer into the settings of a preprocessor."""
    pipeline = json.loads(settings.read_text())
    for step in pipeline["steps"]:
        if step.get("registry_name") == "tokenizer_processor":
            step["config"]["tokenizer_name"] = str(tokenizer)
    settings.write_text(json.dumps(pipeline, indent=2))


def make_vlm(folder: Path, text: Mapping[str, int], vision: Mapping[str, int], *, scale_factor: int) -> None:
    """Write configuration and processor of a SmolVLM; it has no weights.

    Args:
        folder: an empty directory.
        text: sizes of the language model.
        vision: sizes of the vision tower.
        scale_factor: patches per token, on each side.
    """
    tokenizer = char_tokenizer()
    per_side = vision["image_size"] // vision["patch_size"] // scale_factor
    SmolVLMConfig(
        text_config=LlamaConfig(**text).to_dict(),
        vision_config=dict(vision),
        image_token_id=tokenizer.convert_tokens_to_ids(SPECIAL_TOKENS["image_token"]),
        pad_token_id=0,
        scale_factor=scale_factor,
    ).save_pretrained(folder)
    SmolVLMProcessor(
        SmolVLMImageProcessor(), tokenizer, SmolVLMVideoProcessor(), image_seq_len=per_side**2
    ).save_pretrained(folder)
