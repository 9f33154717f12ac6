"""Metadata, the first frame of a server: what the policy wants and gives, by the names of the wire (pure)."""

from __future__ import annotations

from vagus.edge.client.handshake import Contract
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.profile import Profile, WireSpan

__all__ = ["OWN_KEY", "metadata_of"]

OWN_KEY = "vagus"
"""Only key of our metadata: openpi's clients look up keys of their own policies, and find none."""


def metadata_of(profile: Profile, contract: Contract) -> dict[Key, Value]:
    """Return the metadata for a client: names, shapes, units, rate, horizon, RTC or not."""
    observation: dict[Key, Value] = {
        "/".join(image.key): {"shape": list(image.shape), "dtype": "uint8", "color": image.color.value}
        for image in profile.images
    }
    observation |= _arrays(profile.state)
    if profile.instruction is not None:
        observation["/".join(profile.instruction)] = {"dtype": "str"}
    return {
        OWN_KEY: {
            "profile": profile.name,
            "robot_type": profile.robot_type,
            "policy_type": contract.policy.policy_type,
            "model_hash": contract.model_hash,
            "rate_hz": contract.step_rate_hz,
            "horizon": min(contract.policy.horizon, profile.horizon),
            "rtc": contract.uses_rtc,
            "observation": observation,
            "actions": _arrays(profile.actions)["actions"],
        }
    }


def _arrays(spans: tuple[WireSpan, ...]) -> dict[Key, Value]:
    """Return each array by its key: shape, element type, and name and unit of each number."""
    names: dict[Key, list[Value]] = {}
    units: dict[Key, list[Value]] = {}
    dtypes: dict[Key, str] = {}
    for span in spans:
        key = "/".join(span.key)
        dtypes[key] = span.dtype.value
        names.setdefault(key, []).extend(span.names)
        units.setdefault(key, []).extend([span.wire_unit or span.unit] * len(span.names))
    return {
        key: {"shape": [len(names[key])], "dtype": dtypes[key], "names": names[key], "units": units[key]}
        for key in names
    }
