"""What is said twice in a settings file is refused, wherever it stands."""

from __future__ import annotations

import pytest

from vagus.errors import ConfigError
from vagus.settings_file import parse_settings

TWICE = {
    ".yaml": [
        b"rate_hz: 10\nrate_hz: 30",
        b"limits: {a: {velocity: 1}}\nlimits: {b: {velocity: 1}}",
        b"limits: {a: {velocity: 1, velocity: 2}}",
        b"fallback:\n  a: hold\n  b: hold\n  a: repeat_last",
        b"steps: [{a: 1}, {a: 1, a: 2}]",
        b"x: &x {a: 1}\ny: *x\nz: {b: 1, 'b': 2}",
    ],
    ".json": [
        b'{"rate_hz": 10, "rate_hz": 30}',
        b'{"limits": {"a": {"velocity": 1, "velocity": 2}}}',
        b'{"steps": [{"a": 1}, {"a": 1, "a": 2}]}',
    ],
    ".toml": [b"rate_hz = 10\nrate_hz = 30", b"[limits]\na = 1\na = 2"],
}
READERS = {".yaml": "yaml", ".toml": "tomllib", ".json": "json"}


@pytest.mark.parametrize(
    ("suffix", "content"), [(suffix, content) for suffix, each in TWICE.items() for content in each], ids=repr
)
def test_a_key_that_stands_twice_in_one_table_is_refused(suffix: str, content: bytes) -> None:
    pytest.importorskip(READERS[suffix])
    with pytest.raises(ConfigError, match=r"manifest: wanted (each key once .* twice|valid TOML)"):
        parse_settings("manifest", content, suffix)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".yaml", b""),
        (".yaml", b"a: {b: 1}\nb: {b: 1}\nc: [{b: 1}, {b: 2}]\nd: [b, b]"),
        (".yaml", b"a: &a {b: 1}\nc: *a\nd: *a"),
        (".yaml", b"1: x\n2: y"),
        (".json", b'{"a": {"b": 1}, "b": {"b": [{"b": 1}, {"b": 2}]}}'),
    ],
    ids=repr,
)
def test_the_same_key_in_other_tables_is_another(suffix: str, content: bytes) -> None:
    pytest.importorskip(READERS[suffix])
    assert isinstance(parse_settings("manifest", content, suffix), dict)
