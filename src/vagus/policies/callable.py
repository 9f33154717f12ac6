"""Policies of your own, by import path: a function of an observation, or a class with `spec` and `infer`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

import numpy as np

from vagus.errors import ConfigError, PolicyError
from vagus.import_path import Option, construct, load_named
from vagus.policies.declare import PolicyDeclaration, declaration_of
from vagus.policies.identity import PolicyIdentity
from vagus.policies.policy import Policy, Row, ServingMode, failure_of
from vagus.specs import PolicySpec
from vagus.types import ActionChunk

__all__ = ["Option", "load_callable"]

Scratch: TypeAlias = "dict[str, object]"
"""Session state of a function: a dict for one episode of one robot."""


UNDECLARED_FUNCTION = (
    "a function may keep state of one robot anywhere (if it keeps none but in row.session, say "
    "@policy(…, shared=True))"
)
UNDECLARED_CLASS = (
    "a class may keep state of one robot in its object (if it keeps none but in the session, give it "
    "serving_mode = ServingMode.SHARED)"
)


class FunctionPolicy:
    """Policy that calls a function once per row. If the function raises, only that row fails."""

    def __init__(
        self, act: Callable[..., object], declaration: PolicyDeclaration, identity: PolicyIdentity
    ) -> None:
        self._act = act
        self._takes_row = _takes_row(act)
        self.spec = declaration.spec
        self.serving_mode = ServingMode.SHARED if declaration.is_shared else ServingMode.EXCLUSIVE
        self.serving_reason = UNDECLARED_FUNCTION
        self._identity = identity

    @property
    def model_hash(self) -> str:
        """Digest of the code and of the files that were read until the first call."""
        return self._identity.digest()

    def open_session(self) -> Scratch:
        """Return an empty dict."""
        return {}

    def begin_episode(self, session: Scratch) -> None:
        """Clear the dict."""
        session.clear()

    def infer(self, batch: Sequence[Row[Scratch]]) -> list[ActionChunk | PolicyError]:
        """Call the function once per row."""
        return [self._infer_row(row) for row in batch]

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _infer_row(self, row: Row[Scratch]) -> ActionChunk | PolicyError:
        try:
            result = self._act(row.observation, row) if self._takes_row else self._act(row.observation)
            actions = np.array(result, dtype=np.float32)
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything; its robot is told
            return failure_of(error)
        return ActionChunk(step=row.step, model=actions, robot=actions)


class CompletedPolicy:
    """Policy made of a user's object with `spec` and `infer`, with defaults for the other methods."""

    def __init__(self, inner: object, identity: PolicyIdentity) -> None:
        self._inner = inner
        self.spec: PolicySpec = inner.spec  # type: ignore[attr-defined] # checked by `load_callable`
        self.infer = inner.infer  # type: ignore[attr-defined] # likewise
        self.serving_mode: ServingMode = getattr(inner, "serving_mode", ServingMode.EXCLUSIVE)
        own_reason = "" if hasattr(inner, "serving_mode") else UNDECLARED_CLASS
        self.serving_reason: str = getattr(inner, "serving_reason", own_reason)
        self._identity = identity

    @property
    def model_hash(self) -> str:
        """The object's own hash, otherwise the digest of the code and of the files that were read so far."""
        own = getattr(self._inner, "model_hash", None)
        if own is None:
            return self._identity.digest()
        self._identity.abandon()
        return str(own)

    def open_session(self) -> object:
        """Return the session of the object's `open_session`; without this method, an empty dict."""
        return getattr(self._inner, "open_session", dict)()

    def begin_episode(self, session: object) -> None:
        """Call the object's `begin_episode`; without this method, clear the dict."""
        begin = getattr(self._inner, "begin_episode", None)
        if begin is not None:
            begin(session)
        elif isinstance(session, dict):
            session.clear()

    def close(self) -> None:
        """Call the object's `close` if it has one."""
        getattr(self._inner, "close", lambda: None)()


def load_callable(
    target: str, *, spec: PolicySpec | None = None, options: Mapping[str, Option] | None = None
) -> Policy[object]:
    """Return the policy at `target`.

    Args:
        target: "package.module:name" or "path/to/file.py:name".
        spec: the spec of a function; None: the function declares it with `@policy`.
        options: keyword arguments for the constructor of a class.

    Raises:
        ConfigError: nothing is found, the import fails, or the function has no spec.
    """
    identity = PolicyIdentity(f"policy {target!r}", options or {})
    identity.begin()
    try:
        return _load(target, identity, spec=spec, options=options or {})
    except BaseException:
        identity.abandon()
        raise


def _load(
    target: str, identity: PolicyIdentity, *, spec: PolicySpec | None, options: Mapping[str, Option]
) -> Policy[object]:
    module, found = load_named("policy", target)
    thing = _construct(target, found, dict(options))
    declaration = declaration_of(thing)
    version = declaration.version if declaration is not None else str(getattr(thing, "version", ""))
    declared = getattr(thing, "weights_files", None) if declaration is None else declaration.weights_files
    identity.made_of(module, version, declared)
    if hasattr(thing, "spec") and hasattr(thing, "infer"):
        return cast("Policy[object]", CompletedPolicy(thing, identity))
    if spec is not None:
        is_shared = declaration is not None and declaration.is_shared
        declaration = PolicyDeclaration(spec, version, is_shared=is_shared)
    if declaration is None or not callable(thing):
        raise ConfigError(
            f"policy {target!r}",
            wanted="a function with @policy(actions=…, state=…), or a class with spec and infer",
            got=f"a {type(thing).__name__} that says nothing about its actions",
            fix="decorate it with vagus.policies.declare.policy, or give a [spec] in the manifest",
        )
    return cast("Policy[object]", FunctionPolicy(thing, declaration, identity))


def _construct(target: str, found: object, options: dict[str, Option]) -> object:
    if not inspect.isclass(found):
        if options:
            raise ConfigError(
                f"policy {target!r}",
                wanted="no options, because it is not a class",
                got=f"options {sorted(options)}",
            )
        return found
    return construct(f"policy {target!r}", found, options)


def _takes_row(act: Callable[..., object]) -> bool:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [
        p
        for p in inspect.signature(act).parameters.values()
        if p.kind in kinds and p.default is inspect.Parameter.empty
    ]
    return len(required) > 1
