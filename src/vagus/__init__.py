"""vagus: the nerve between a robot's policy and its body.

The brain (a vision-language-action policy on a GPU) runs in a server, the body (a robot's control loop)
runs at the edge, and vagus carries observations and action chunks between them over Zenoh.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0.dev0"
