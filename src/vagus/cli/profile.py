"""Command `vagus profile`: checks a profile and shows what it means, or lists those that vagus brings."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
import tyro
from rich.markup import escape
from rich.table import Table

from vagus.cli.console import console, say
from vagus.cli.exit_code import ExitCode
from vagus.cli.log_output import LogFlags
from vagus.errors import ConfigError
from vagus.gateways.profile import ActionReference, Profile, WireSpan
from vagus.gateways.profile_example import ProfileExample, SentValue, example_of
from vagus.gateways.profile_file import load_profile, shipped_profiles
from vagus.gateways.profile_keys import told_path
from vagus.gateways.unit_conversion import Conversion
from vagus.quoting import quoted

__all__ = ["ProfileCommand"]


@dataclass(frozen=True)
class ProfileCommand:
    """Check a profile of a foreign wire and show what it means, or list the profiles that vagus brings.

    Example: vagus profile check my_arm.yaml
    """

    action: Annotated[Literal["check", "list"], tyro.conf.Positional]
    """check: one profile; list: those that vagus brings."""
    profile: Annotated[str, tyro.conf.Positional] = ""
    """For check: a file, or the name of one in the list."""
    json: bool = False
    """Print JSON for a program."""
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)

    def run(self) -> int:
        """Print the profile, or the list.

        Raises:
            ConfigError: the profile cannot be used, none is named, or one is named for the list.
        """
        if self.action == "list":
            self._list()
        else:
            self._check()
        return ExitCode.OK

    def _check(self) -> None:
        if not self.profile:
            raise ConfigError(
                "profile check", wanted="a file or a name", got="none", fix="`vagus profile list` lists names"
            )
        profile = load_profile(self.profile)
        example = example_of(profile)
        if self.json:
            shown = {"profile": profile, "conversions": {"state": example.state, "actions": example.actions}}
            _print_json({**shown, "request": example.request, "reply": example.reply})
            return
        for line in _headlines(profile):
            say(line)
        for table in _tables(profile, example):
            console().print(table)

    def _list(self) -> None:
        if self.profile:
            raise ConfigError(
                "profile list",
                wanted="no name",
                got=self.profile,
                fix=f"`vagus profile check {self.profile}`",
            )
        profiles = {name: load_profile(name) for name in shipped_profiles()}
        if self.json:
            _print_json([{"name": name, "robot_type": each.robot_type} for name, each in profiles.items()])
            return
        table = Table("profile", "robot", "actions", "state", "cameras", "rate")
        for name, each in profiles.items():
            cameras = ", ".join(image.name for image in each.images)
            widths = [str(sum(len(span.names) for span in spans)) for spans in (each.actions, each.state)]
            table.add_row(*_cells(name, each.robot_type, *widths, cameras, f"{each.rate_hz:g} Hz"))
        console().print(table)


def _print_json(value: object) -> None:
    console().print_json(msgspec.json.encode(value).decode())


def _headlines(profile: Profile) -> Iterator[str]:
    yield f"{profile.name}: a valid profile for {profile.protocol}, of a robot {profile.robot_type}"
    yield f"{profile.rate_hz:g} actions per second, in chunks of at most {profile.horizon}"
    if profile.semantics:
        yield f"the operator states --inference.semantics={shlex.quote(profile.semantics)}"
    if profile.identity:
        yield f"identity of the foreign server: {profile.identity}"
    if profile.protocol == "gr00t":
        yield "shapes are without the axes for batch and time, which each version of GR00T has its own way"


def _tables(profile: Profile, example: ProfileExample) -> Iterator[Table]:
    yield _numbers("state", profile.state, example.state)
    yield _numbers("actions", profile.actions, example.actions)
    yield _cameras(profile)
    yield _values("a request", example.request)
    yield _values("a reply", example.reply)


def _numbers(title: str, spans: Sequence[WireSpan], conversions: Iterable[Conversion]) -> Table:
    table = Table("key", "names", "kind", "unit", "unit on the wire", "from the wire", title=title)
    for span, conversion in zip(spans, conversions, strict=True):
        kind = span.kind.value if span.kind is not None else "position" if title == "actions" else ""
        encoding = f" ({span.encoding})" if span.encoding else ""
        base = " + state" if span.reference is ActionReference.RELATIVE else ""
        wire_unit = span.wire_unit or (span.unit if conversion.is_identity else "not stated")
        names = ", ".join(span.names)
        table.add_row(
            *_cells(
                told_path(span.key), names, f"{kind}{encoding}", span.unit, wire_unit, f"{conversion}{base}"
            )
        )
    return table


def _cameras(profile: Profile) -> Table:
    table = Table("key", "name", "height × width", "layout", "color", "of another size", "", title="cameras")
    for image in profile.images:
        size = f"{image.height} × {image.width}"
        required = "required" if image.required else "may be missing"
        how = (image.layout.value, image.color.value, image.resize.value, required)
        table.add_row(*_cells(told_path(image.key), image.name, size, *how))
    return table


def _values(title: str, values: Iterable[SentValue]) -> Table:
    table = Table("key", "type", "shape", title=title)
    for value in values:
        table.add_row(*_cells(told_path(value.key), value.dtype, str(value.shape) if value.shape else ""))
    return table


def _cells(*cells: str) -> Iterator[str]:
    return (escape(quoted(cell)) for cell in cells)
