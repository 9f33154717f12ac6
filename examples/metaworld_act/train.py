"""Train a small ACT on a data set of states; about five minutes on two cores.

    python train.py --steps 2000

`lerobot-train` trains the same network on the same data. This loop keeps the few frames in memory instead of
asking for each from disk, which takes most of the time of so small a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.datasets import LeRobotDataset
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors
from metaworld_arm import ACTIONS, AGENT, WORLD
from rich.progress import track
from torch import Tensor

CHUNK = 64
"""0.8 s at 80 Hz."""
EXECUTE = 10
"""Actions that LeRobot executes before it asks again."""
BATCH = 64
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Frames:
    """A data set in memory.

    Attributes:
        columns: LeRobot's key → (frames, …).
        last: index of the last frame of each frame's episode, (frames,).
    """

    columns: dict[str, Tensor]
    last: Tensor

    @classmethod
    def of(cls, dataset: LeRobotDataset) -> Frames:
        """Return everything in a data set without pictures."""
        table = dataset.hf_dataset.with_format("numpy")
        keys = ("observation.state", "observation.environment_state", "action")
        episodes = np.asarray(table["episode_index"][:])
        return cls(
            {key: torch.from_numpy(np.stack(table[key][:]).astype(np.float32)) for key in keys},
            torch.from_numpy(np.searchsorted(episodes, episodes, side="right") - 1),
        )

    def batch(self, at: Tensor) -> dict[str, Tensor]:
        """Return the observations at some frames, and the chunks of actions that follow, (rows, CHUNK, …)."""
        steps = at[:, None] + torch.arange(CHUNK)
        last = self.last[at][:, None]
        observations = {key: column[at] for key, column in self.columns.items() if key != "action"}
        actions = self.columns["action"][torch.minimum(steps, last)]
        return {**observations, "action": actions, "action_is_pad": steps > last}


def network() -> ACTConfig:
    """Return the configuration of the policy."""
    return ACTConfig(
        device="cpu",
        input_features={
            "observation.state": PolicyFeature(FeatureType.STATE, (len(AGENT),)),
            "observation.environment_state": PolicyFeature(FeatureType.ENV, (len(WORLD),)),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (len(ACTIONS),))},
        chunk_size=CHUNK,
        n_action_steps=EXECUTE,
        pretrained_backbone_weights=None,
        dim_model=64,
        n_heads=4,
        dim_feedforward=256,
        n_encoder_layers=2,
        n_decoder_layers=1,
        use_vae=False,  # the expert has one way to do it
        dropout=0.0,
    )


def train(
    data: Path = Path("outputs/dataset"), out: Path = Path("outputs/policy"), steps: int = 2000
) -> None:
    """Train and save as LeRobot saves.

    Args:
        data: folder of the data set.
        out: folder of the checkpoint.
        steps: batches.
    """
    torch.manual_seed(0)
    dataset = LeRobotDataset("local/metaworld_act", root=data)
    frames = Frames.of(dataset)
    policy = ACTPolicy(network())
    before, after = make_pre_post_processors(policy.config, dataset_stats=dataset.meta.stats)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    policy.train()
    losses: list[float] = []
    for _ in track(range(steps), "training"):
        loss, _ = policy.forward(before(frames.batch(torch.randint(len(frames.last), (BATCH,)))))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    policy.eval()
    for part in (policy, before, after):
        part.save_pretrained(out)
    tail = losses[-max(steps // 10, 1) :]
    print(f"L1 loss {losses[0]:.3f} -> {sum(tail) / len(tail):.3f}; policy in {out}")


if __name__ == "__main__":
    tyro.cli(train)
