"""Command `vagus router`: a Zenoh router in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import tyro

from vagus.cli.console import console
from vagus.cli.exit_code import ExitCode
from vagus.cli.log_output import LogFlags
from vagus.cli.signals import wait_for_signal
from vagus.transport.router import Router
from vagus.transport.zenoh_config import RouterConfig

__all__ = ["RouterCommand"]


@dataclass(frozen=True)
class RouterCommand:
    """Run a Zenoh router, to which robots and servers connect."""

    router: Annotated[RouterConfig, tyro.conf.arg(name="")] = field(default_factory=RouterConfig)
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)
    is_lasting: ClassVar[bool] = True
    """The command must not hang or fail because of its terminal."""

    def run(self) -> int:
        """Run until Ctrl-C or another end signal."""
        screen = console()
        with Router(self.router) as router:
            screen.print(f"router ready on {', '.join(router.endpoints)}", highlight=False)
            if not self.router.tls.is_on:
                screen.print("no certificates: whoever reaches this port can command every robot here")
            wait_for_signal()
        return ExitCode.OK
