"""What a rollout has recorded, as stock LeRobot reads it."""

from __future__ import annotations

import numpy as np
from lerobot.datasets import LeRobotDataset

from rollout_rig import Stand, Sway
from vagus.integrations.lerobot.dataset.provenance import COLUMNS

__all__ = ["check_plan_rows", "recorded"]


def recorded(stand: Stand, name: str = "rollout_test") -> dict[str, np.ndarray]:
    """Return the columns of a dataset as stock LeRobot reads them."""
    dataset = LeRobotDataset(f"vagus/{name}", root=stand.folder / name)
    rows = dataset.hf_dataset.with_format("numpy")
    columns = {key: np.array(rows[key]) for key in ("action", "episode_index", "observation.state")}
    columns |= {key: np.array(rows[key]).reshape(-1) for key in COLUMNS if key in dataset.features}
    if "intervention" in dataset.features:
        columns["intervention"] = np.array(rows["intervention"]).reshape(-1)
    assert len(dataset) == len(columns["action"])
    assert dataset[0]["observation.images.front"].shape == (3, 48, 64)
    return columns


def check_plan_rows(columns: dict[str, np.ndarray], policy: Sway) -> None:
    """Assert that each recorded plan action is the one that its provenance names."""
    is_plan = columns["vagus.step"] >= 0
    assert is_plan.mean() > 0.9
    wanted = np.array([policy.actions(step)[0] for step in columns["vagus.step"][is_plan]])
    order = [policy.names.index(name) for name in reversed(policy.names)]
    np.testing.assert_allclose(columns["action"][is_plan], wanted[:, order], atol=1e-4)
    assert (columns["vagus.session"][is_plan] > 0).all()
    assert (columns["vagus.seq"][is_plan] >= 1).all()
    assert (columns["vagus.chunk_index"][is_plan] >= 0).all()
    assert (columns["vagus.age_ms"][is_plan] >= 0).all()
    assert (columns["vagus.age_ms"][is_plan] < 3000).all()
    assert not columns["vagus.fallback"][is_plan].any()
