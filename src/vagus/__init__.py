"""vagus: robot policies on a server, robot control loops at the edge.

The brain (a vision-language-action policy on a GPU) runs in a server, the body (a robot's control loop)
runs at the edge, and vagus carries observations and action chunks between them over Zenoh.
"""

from __future__ import annotations

import importlib

__all__ = [
    "ActionChunk",
    "ActionFeature",
    "CameraSpec",
    "EdgeConfig",
    "Limits",
    "LoopConfig",
    "Observation",
    "Policy",
    "PolicySpec",
    "RemotePolicy",
    "Robot",
    "RobotSpec",
    "ServeConfig",
    "StateFeature",
    "VagusError",
    "__version__",
    "connect",
    "policy",
    "run",
    "serve",
]

__version__ = "0.1.0.dev0"

_PLACES = {
    "ActionChunk": "vagus.types",
    "ActionFeature": "vagus.features",
    "CameraSpec": "vagus.specs",
    "EdgeConfig": "vagus.edge.config",
    "Limits": "vagus.features",
    "LoopConfig": "vagus.control.config",
    "Observation": "vagus.types",
    "Policy": "vagus.policies.policy",
    "PolicySpec": "vagus.specs",
    "RemotePolicy": "vagus.api.remote",
    "Robot": "vagus.robots.robot",
    "RobotSpec": "vagus.specs",
    "ServeConfig": "vagus.server.config",
    "StateFeature": "vagus.features",
    "VagusError": "vagus.errors",
    "connect": "vagus.api.connect",
    "policy": "vagus.policies.declare",
    "run": "vagus.api.run",
    "serve": "vagus.api.serve",
}
"""Name → its module, which is imported when the name is first used."""


def __getattr__(name: str) -> object:
    """Import what `name` stands for."""
    if name not in _PLACES:
        raise AttributeError(f"module 'vagus' has no attribute {name!r}; it has {', '.join(__all__)}")
    found: object = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the names of the package, imported or not."""
    return sorted({*globals(), *__all__})
