"""Help for the settings of one backend, which are not part of `vagus serve`'s own settings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from vagus.cli.console import say
from vagus.policies.options import BackendOption, describe_options
from vagus.policies.registry import options_of

__all__ = ["help_on", "options_help", "policy_among"]


def policy_among(arguments: Sequence[str]) -> str:
    """Return the policy name in the arguments; "" if there is none."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    return next((after for word, after in itertools.pairwise(words) if word == "--policy"), "")


@contextmanager
def help_on(policy: str) -> Iterator[None]:
    """Print the backend's own settings after the help, if the arguments ask for help on a backend."""
    try:
        yield
    except SystemExit as end:
        kind = options_of(policy)
        if end.code in (0, None) and kind is not None:
            say(options_help(policy, describe_options(kind)))
        raise


def options_help(policy: str, options: Sequence[BackendOption]) -> str:
    """Return the help text of `--options` for a backend."""
    lines = [f"options of --policy {policy}, each as --options NAME VALUE:"]
    for option in options:
        default = f" (default: {option.default})" if option.default else ""
        lines += [f"  {option.name}: {option.kind}{default}", f"      {option.text}"]
    return "\n".join(lines)
