"""A flow-matching policy in torch with real-time chunking in a batch: a template for yours.

    vagus serve --policy torch_flow_policy.py:TorchFlowPolicy --options weights net.pt device cuda:0

The network predicts the velocity from noise (tau = 0) to a chunk (tau = 1). A running plan pulls on it at
every step of the integration, after Black et al. 2025, "Real-Time Execution of Action Chunking Flow Policies"
(arXiv:2506.07339): fully on the steps that are executed anyway, then less and less up to the end of the
guidance. The paper pulls through the Jacobian of the prediction; here that is the identity, as in LeRobot's
models, so nothing is differentiated.
"""

import math
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

import vagus
from vagus.policies.policy import Row

JOINTS = {f"joint_{i}": "rad" for i in range(1, 7)}
HORIZON, DIM, FLOW_STEPS, MAX_GUIDANCE = 50, len(JOINTS), 10, 5.0
MEAN, STD = torch.zeros(DIM), torch.full((DIM,), 0.5)  # of the actions and states in your data set


@vagus.policy(actions=JOINTS, state=JOINTS, horizon=HORIZON, rate_hz=30, prefix_horizon=25, shared=True)
class TorchFlowPolicy:
    """Answers a batch of rows in one pass per flow step; no row sees another's plan, noise or delay."""

    def __init__(self, weights: str = "", device: str = "cpu") -> None:
        """Load your network in the place of this one; the files that are read here belong to its identity."""
        torch.manual_seed(0)
        width = HORIZON * DIM
        self.net = nn.Sequential(nn.Linear(width + DIM + 1, 256), nn.SiLU(), nn.Linear(256, width)).to(device)
        self.device = device
        if weights:
            self.net.load_state_dict(torch.load(weights, weights_only=True, map_location=device))

    def velocity(self, noisy: Tensor, state: Tensor, tau: float) -> Tensor:
        """Return what the network says, (rows, HORIZON, DIM)."""
        time = torch.full((len(noisy), 1), tau, device=self.device)
        return self.net(torch.cat([noisy.flatten(1), state, time], dim=1)).reshape(noisy.shape)

    def infer(self, batch: Sequence[Row[object]]) -> list[vagus.ActionChunk]:
        """Return one chunk per row: in the network's own space, in which plans come back, and in rad."""
        with torch.inference_mode():
            state = torch.from_numpy(np.stack([row.observation.state for row in batch]))
            state = ((state - MEAN) / STD).to(self.device)
            chunks = torch.stack([noise(row.seed) for row in batch]).to(self.device)
            plans, weights = (part.to(self.device) for part in running_plans(batch))
            for step in range(FLOW_STEPS):
                tau = step / FLOW_STEPS
                velocity = self.velocity(chunks, state, tau)
                clean = chunks + (1.0 - tau) * velocity  # where this velocity leads
                chunks = chunks + (velocity + guidance(tau) * weights * (plans - clean)) / FLOW_STEPS
            model = chunks.cpu()
        pairs = zip(batch, model.numpy(), (model * STD + MEAN).numpy(), strict=True)
        return [vagus.ActionChunk(row.step, own, robot) for row, own, robot in pairs]


def noise(seed: int) -> Tensor:
    """Return the noise of one row, the same on every device and in every batch."""
    return torch.randn(HORIZON, DIM, generator=torch.Generator().manual_seed(seed))


def running_plans(batch: Sequence[Row[object]]) -> tuple[Tensor, Tensor]:
    """Return each row's plan, (rows, HORIZON, DIM), and its soft mask, (rows, HORIZON, 1): 0 without one."""
    plans, weights = torch.zeros(len(batch), HORIZON, DIM), torch.zeros(len(batch), HORIZON, 1)
    for index, row in enumerate(batch):
        if row.prefix is not None:
            length = min(len(row.prefix), HORIZON)
            plans[index, :length] = torch.from_numpy(np.array(row.prefix.model[:length]))
            weights[index, :, 0] = soft_mask(row.inference_delay, min(row.prefix_horizon, length))
    return plans, weights


def soft_mask(delay: int, end: int) -> Tensor:
    """Return how strongly each step follows the plan: 1 before `delay`, falling to 0 at `end`."""
    step, delay = torch.arange(HORIZON), min(delay, end)
    fall = ((end - step) / (end - delay + 1)).clamp(0.0, 1.0)
    return torch.where(step < delay, 1.0, fall * torch.expm1(fall) / (math.e - 1.0))


def guidance(tau: float) -> float:
    """Return the weight of the pull: (1 - tau) / (tau r^2), r^2 = (1 - tau)^2 / (tau^2 + (1 - tau)^2)."""
    pull = (tau**2 + (1.0 - tau) ** 2) / (tau * (1.0 - tau)) if tau > 0.0 else math.inf
    return min(pull, MAX_GUIDANCE)


if __name__ == "__main__":
    vagus.serve(TorchFlowPolicy, connect=sys.argv[1])
