"""Answer to `get_modality_config`: what a robot must send and what it gets, from the profile (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vagus.features import ActionKind
from vagus.gateways.msgpack import Value, ValueMap
from vagus.gateways.neutral import WirePath
from vagus.gateways.profile import ActionReference, Profile, WireSpan
from vagus.integrations.gr00t.dialect import N1_5

__all__ = ["description_of"]

_NOW = 0
"""Time step of an observation: the newest one, and no other."""


def description_of(profile: Profile, version: str) -> ValueMap:
    """Return the configuration of each modality, as plain maps.

    Args:
        profile: what the keys of the wire mean.
        version: version of the protocol; N1.5 has full names (`video.front`) and fewer fields.
    """
    actions = _first_spans(profile.actions)
    steps = list(range(profile.horizon))
    instruction = () if profile.instruction is None else (profile.instruction,)
    keys: dict[str, tuple[Sequence[WirePath], list[int]]] = {
        "video": ([image.key for image in profile.images], [_NOW]),
        "state": ([span.key for span in _first_spans(profile.state)], [_NOW]),
        "action": ([span.key for span in actions], steps),
        "language": (instruction, [_NOW]),
    }
    if version == N1_5:
        return {group: _fields(_full_names(group, paths), when) for group, (paths, when) in keys.items()}
    described: ValueMap = {}
    for group, (paths, when) in keys.items():
        configs: Value = [_action_config(span) for span in actions] if group == "action" else None
        described[group] = {
            **_fields([str(path[-1]) for path in paths], when),
            "sin_cos_embedding_keys": None,
            "mean_std_embedding_keys": None,
            "action_configs": configs,
        }
    return described


def _first_spans(spans: Iterable[WireSpan]) -> list[WireSpan]:
    """Return the first span of each array, in their order."""
    return list({span.key: span for span in reversed(list(spans))}.values())[::-1]


def _full_names(group: str, paths: Sequence[WirePath]) -> list[str]:
    names = [str(path[-1]) for path in paths]
    return names if group == "language" else [f"{group}.{name}" for name in names]


def _fields(names: list[str], steps: list[int]) -> ValueMap:
    return {"delta_indices": [*steps], "modality_keys": [*names]}


def _action_config(span: WireSpan) -> ValueMap:
    """Return what an action is counted from; of which kind its numbers are, a profile does not say."""
    if span.kind is ActionKind.DELTA:
        rep = "DELTA"
    else:
        rep = "RELATIVE" if span.reference is ActionReference.RELATIVE else "ABSOLUTE"
    return {"rep": rep, "type": "NON_EEF", "format": "DEFAULT", "state_key": None}
