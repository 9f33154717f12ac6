"""Real-time-chunking settings of a checkpoint that are not supported here."""

from __future__ import annotations

from collections.abc import Mapping

from vagus.errors import ConfigError

__all__ = ["check_guidance"]

KNOWN = frozenset(
    {
        *("enabled", "prefix_attention_schedule", "max_guidance_weight", "execution_horizon"),
        *("debug", "debug_maxlen"),
    }
)
"""Fields of LeRobot's RTCConfig in the tested releases."""
GUIDED = {"mode": "guided"}
"""Further fields, with the value that means what is done here."""
TRAINED = "rtc_training_max_delay"
"""Above 0 the network was trained to take the prefix as it is, and wants no guidance."""


def check_guidance(config: Mapping[str, object]) -> None:
    """Refuse a checkpoint whose chunks are to be continued otherwise than by guidance.

    Args:
        config: the checkpoint's config.json.

    Raises:
        ConfigError: it was trained for it, or has a setting of real-time chunking that is not known here.
    """
    delay = config.get(TRAINED)
    if isinstance(delay, (int, float)) and delay > 0:
        raise _refused(TRAINED, delay)
    own = config.get("rtc_config")
    for name, value in own.items() if isinstance(own, dict) else ():
        if name not in KNOWN and value is not None and value != GUIDED.get(name):
            raise _refused(f"rtc_config.{name}", value)


def _refused(name: str, value: object) -> ConfigError:
    return ConfigError(
        f"model: {name}",
        wanted="a checkpoint whose plans are continued by guidance",
        got=repr(value),
        fix="real-time chunking that was trained is not served; with guidance such a network moves otherwise",
    )
