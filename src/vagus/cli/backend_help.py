"""Help for the settings of one backend, which are not part of `vagus serve`'s own settings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from vagus.cli.console import say
from vagus.errors import VagusError
from vagus.policies.options import BackendOption, describe_options, options_type_of
from vagus.policies.registry import found_policy, options_of

__all__ = ["help_on", "options_help", "policy_among"]


def policy_among(arguments: Sequence[str]) -> str:
    """Return the policy name in the arguments; "" if there is none."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    return next((after for word, after in itertools.pairwise(words) if word == "--policy"), "")


@contextmanager
def help_on(policy: str) -> Iterator[None]:
    """Print the policy's own settings after the help, if the arguments ask for help on a policy."""
    try:
        yield
    except SystemExit as end:
        if end.code in (0, None):
            _tell_options(policy)
        raise


def _tell_options(policy: str) -> None:
    """Print the settings of a backend, or of the class that a package or a file brings."""
    try:
        kind = options_of(policy) or options_type_of(found_policy(policy))
    except VagusError as error:
        say(f"options of --policy {policy} are not known: {error}")
        return
    if kind is not None:
        say(options_help(policy, describe_options(kind)))


def options_help(policy: str, options: Sequence[BackendOption]) -> str:
    """Return the help text of `--options` for a policy."""
    lines = [f"options of --policy {policy}, each as --options NAME VALUE:"]
    for option in options:
        default = f" (default: {option.default})" if option.default else ""
        lines += [f"  {option.name}: {option.kind}{default}", f"      {option.text}"]
    return "\n".join(lines)
