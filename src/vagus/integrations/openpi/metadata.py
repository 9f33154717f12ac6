"""Metadata, the first frame of a server: what the policy wants and gives, by the names of the wire (pure)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from vagus.edge.client.handshake import Contract
from vagus.errors import ConfigError
from vagus.gateways.msgpack import Key, Value, ValueMap
from vagus.gateways.profile import Profile, WireSpan
from vagus.quoting import quoted

__all__ = ["OWN_KEY", "check_metadata", "metadata_of"]

OWN_KEY = "vagus"
"""Only key of our metadata: openpi's clients look up keys of their own policies, and find none."""


RATE_TOLERANCE = 1e-6
"""Largest relative difference of two rates that are the same."""


def check_metadata(said: Mapping[Key, Value], profile: Profile) -> None:
    """Refuse a server whose metadata are ours and contradict the profile; others say nothing of the kind.

    Names may differ, since each side calls the numbers as it likes; the same names in another order may not.

    Args:
        said: metadata of the server.
        profile: what its keys are believed to mean.

    Raises:
        ConfigError: another rate, or an array or a picture of another shape, order or unit.
    """
    own = said.get(OWN_KEY)
    if not isinstance(own, dict):
        return
    rate_hz = own.get("rate_hz")
    if isinstance(rate_hz, int | float) and not math.isclose(
        rate_hz, profile.rate_hz, rel_tol=RATE_TOLERANCE
    ):
        raise _contradiction(profile, "rate_hz", f"{profile.rate_hz:g}", f"{rate_hz:g}")
    told: ValueMap = {"actions": own.get("actions")}
    observation = own.get("observation")
    told |= observation if isinstance(observation, dict) else {}
    for key, ours in {**_observation(profile), **_arrays(profile.actions)}.items():
        theirs = told.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            _check_same(profile, quoted(key, 80), ours, theirs)


def _check_same(profile: Profile, key: str, ours: ValueMap, theirs: ValueMap) -> None:
    for field in ("shape", "color", "units", "names"):
        wanted, got = ours.get(field), theirs.get(field)
        is_other = wanted is not None and got is not None and wanted != got
        if is_other and (field != "names" or _are_same_names(wanted, got)):
            raise _contradiction(profile, f"{field} of {key}", str(wanted), str(got))


def _are_same_names(ours: Value, theirs: Value) -> bool:
    """Whether two lists hold the same names, in whatever order."""
    return isinstance(ours, list) and isinstance(theirs, list) and {*map(str, ours)} == {*map(str, theirs)}


def _contradiction(profile: Profile, what: str, wanted: str, got: str) -> ConfigError:
    return ConfigError(
        what,
        wanted=f"{wanted}, as the profile {profile.name} says",
        got=f"{quoted(got, 300)} in the metadata of the server",
        fix="give the profile of that server",
    )


def metadata_of(profile: Profile, contract: Contract) -> dict[Key, Value]:
    """Return the metadata for a client: names, shapes, units, rate, horizon, RTC or not."""
    return {
        OWN_KEY: {
            "profile": profile.name,
            "robot_type": profile.robot_type,
            "policy_type": contract.policy.policy_type,
            "model_hash": contract.model_hash,
            "rate_hz": contract.step_rate_hz,
            "horizon": min(contract.policy.horizon, profile.horizon),
            "rtc": contract.uses_rtc,
            "observation": _observation(profile),
            "actions": _arrays(profile.actions)["actions"],
        }
    }


def _observation(profile: Profile) -> dict[Key, Value]:
    """Return each part of an observation by its key."""
    observation: dict[Key, Value] = {
        "/".join(image.key): {"shape": list(image.shape), "dtype": "uint8", "color": image.color.value}
        for image in profile.images
    }
    observation |= _arrays(profile.state)
    if profile.instruction is not None:
        observation["/".join(profile.instruction)] = {"dtype": "str"}
    return observation


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
