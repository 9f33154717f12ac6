"""Policy in a child process, served to this process alone over a local link, for `vagus run --policy`."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from vagus.cli.child import Child
from vagus.cli.exit_code import ExitCode
from vagus.errors import ConfigError, LinkError, PolicyError, VagusError
from vagus.import_path import Option
from vagus.policies.registry import ADDRESSES, check_backend_options, is_address, options_of
from vagus.transport.router import with_free_port
from vagus.transport.zenoh_config import ZenohConfig

__all__ = ["HostedPolicy", "check_hosted", "told_by"]

START_TIMEOUT_S = 600.0
"""Longest wait for the process: the foreign server may load its weights and compile first."""
MAX_FOLDER = 80
"""Longest path of the folder for temporary files, in bytes; a socket's own path may have 103."""
FAILED = "vagus: "
"""Begin of the line in which a command says why it ended."""

logger = logging.getLogger("vagus.run")


class HostedPolicy:
    """Child process that serves a policy to this user alone. It ends with this process.

    It is not started again: without it the robot falls back, and is stopped after `max_offline_s`.

    Args:
        policy: address of a foreign policy server.
        options: its settings.
    """

    def __init__(self, policy: str, options: Mapping[str, Option]) -> None:
        self.endpoint = ""
        """Where it listens, once it was started."""
        self._policy = policy
        self._options = [word for name, value in options.items() for word in (name, str(value))]
        self._child: Child | None = None
        self._folder = ExitStack()

    def __enter__(self) -> HostedPolicy:
        return self

    def __exit__(self, *_: object) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()
        self._folder.close()

    def start(self) -> None:
        """Start the process, and wait until it serves the policy.

        Raises:
            VagusError: it ended, or was not ready in time; the error is the one that it told.
        """
        self._folder.close()
        self.endpoint = self._folder.enter_context(private_endpoint())
        options = ["--options", *self._options] if self._options else []
        network = ["--mode", "peer", "--listen", self.endpoint]
        child = Child("the policy's process", ["serve", "--policy", self._policy, *network, *options])
        self._child = child  # first: a Ctrl-C while it starts must end it, too
        child.start()
        try:
            child.wait_for_line("server ready", timeout_s=START_TIMEOUT_S)
        except VagusError as error:
            code = child.exit_code
            self._child = None
            child.end()
            raise told_by(code, child.output, error) from error
        child.follow(self._ended)

    def _ended(self) -> None:
        if self._child is not None:
            logger.error("the process that talks to %s has ended: no more plans", self._policy)


@contextmanager
def private_endpoint() -> Iterator[str]:
    """Yield an endpoint that only this user can connect to: whoever reaches it could command the robot.

    Without Unix sockets (Windows), it is a port of the loopback interface, which every local user reaches.
    """
    if os.name != "posix":
        yield with_free_port("tcp/127.0.0.1:0")
        return
    above = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(  # made with mode 0700
        prefix="vagus-",
        dir=above if len(os.fsencode(above)) <= MAX_FOLDER else "/tmp",  # noqa: S108
    ) as folder:
        yield f"unixsock-stream/{folder}/policy"


def check_hosted(policy: str, options: Mapping[str, Option], service: str, zenoh: ZenohConfig) -> None:
    """Check the settings of a policy that `vagus run` hosts itself; "": it hosts none.

    Raises:
        ConfigError: no address of a foreign server, a wrong option, or another policy or network beside it.
    """
    if not policy:
        return
    if not is_address(policy) or options_of(policy) is None:
        fix = "" if is_address(policy) else f"serve it: vagus serve --policy {policy}"
        raise ConfigError("policy", wanted=f"an address like {ADDRESSES}", got=repr(policy), fix=fix)
    if service or zenoh.listen or zenoh.connect != ZenohConfig().connect:
        raise ConfigError(
            "policy",
            wanted="it alone, because it brings its own link",
            got="--service, --connect or --listen beside it",
        )
    check_backend_options(policy, options)


class _ConfigToldError(ConfigError):
    """A ConfigError of another process, in its words."""

    def __init__(self, text: str) -> None:
        VagusError.__init__(self, text)


def told_by(code: int | None, output: str, error: VagusError) -> VagusError:
    """Return the error of a process that has ended with `code`, in its own words."""
    lines = [line for line in output.splitlines() if line.startswith(FAILED)]
    if not lines:
        return error
    kinds: dict[int | None, Callable[[str], VagusError]] = {
        ExitCode.CONFIG: _ConfigToldError,
        ExitCode.UNREACHABLE: LinkError,
        ExitCode.POLICY: PolicyError,
    }
    return kinds.get(code, VagusError)(lines[-1].removeprefix(FAILED))
