"""Policies of your own, by import path or as objects: a function per observation, a class for batches."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import TypeAlias, cast

import numpy as np

from vagus.errors import ConfigError, PolicyError
from vagus.import_path import construct, load_named
from vagus.policies.declare import PolicyDeclaration, declaration_of
from vagus.policies.identity import PolicyIdentity
from vagus.policies.options import OptionValue, options_type_of, read_options
from vagus.policies.policy import Policy, Row, ServingMode, failure_of
from vagus.specs import PolicySpec
from vagus.types import ActionChunk, Observation

__all__ = ["called", "load_callable", "policy_of"]

Scratch: TypeAlias = "dict[str, object]"
"""Session state of a function: a dict for one episode of one robot."""

Infer: TypeAlias = "Callable[[Sequence[Row[object]]], Iterable[ActionChunk | PolicyError]]"

UNDECLARED_FUNCTION = (
    "a function may keep state of one robot anywhere (if it keeps none but in row.session, say "
    "@policy(…, shared=True))"
)
UNDECLARED_CLASS = (
    "a class may keep state of one robot in its object (if it keeps none but in the session, give it "
    "serving_mode = ServingMode.SHARED, or say @policy(…, shared=True))"
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
        self._rows = 0

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
        self._rows = len(batch)
        return [self._infer_row(row) for row in batch]

    def forward_rows(self) -> list[int]:
        """Return 1 for each row of the last batch: the function sees one at a time."""
        return [1] * self._rows

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
    """Policy made of a user's object with `infer` and `spec` or `@policy`, with defaults for the rest."""

    def __init__(
        self, inner: object, declaration: PolicyDeclaration | None, identity: PolicyIdentity
    ) -> None:
        self._inner = inner
        infer: Infer = inner.infer  # type: ignore[attr-defined] # checked by `_completed`
        if declaration is None:
            self.spec: PolicySpec = inner.spec  # type: ignore[attr-defined] # likewise
            self.serving_mode: ServingMode = getattr(inner, "serving_mode", ServingMode.EXCLUSIVE)
            self.infer = infer
        else:
            self.spec = declaration.spec
            self.serving_mode = ServingMode.SHARED if declaration.is_shared else ServingMode.EXCLUSIVE
            self.infer = functools.partial(_infer_arrays, infer)
        own_reason = "" if hasattr(inner, "serving_mode") else UNDECLARED_CLASS
        self.serving_reason: str = getattr(inner, "serving_reason", own_reason)
        self._identity = identity
        if hasattr(inner, "batch_key"):
            self.batch_key: Callable[[Observation], Hashable] = inner.batch_key
        if hasattr(inner, "forward_rows"):
            self.forward_rows: Callable[[], Sequence[int]] = inner.forward_rows
        if hasattr(inner, "sample"):
            self.sample: Callable[[], Observation] = inner.sample
        if hasattr(inner, "count_with"):
            self.count_with: Callable[[Callable[[str], None]], None] = inner.count_with

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
    target: str, *, spec: PolicySpec | None = None, options: Mapping[str, OptionValue] | None = None
) -> Policy[object]:
    """Return the policy at `target`.

    Args:
        target: "package.module:name" or "path/to/file.py:name".
        spec: the spec of a function; None: the function declares it with `@policy`.
        options: keyword arguments for the constructor of a class, or fields of its `options_type`.

    Raises:
        ConfigError: nothing is found, the import fails, or the function has no spec.
    """

    def make(identity: PolicyIdentity) -> Policy[object]:
        module, found = load_named("policy", target)
        return _completed(target, module, _construct(target, found, dict(options or {})), spec, identity)

    return _watched(target, options, make)


def policy_of(
    thing: object, *, spec: PolicySpec | None = None, options: Mapping[str, OptionValue] | None = None
) -> Policy[object]:
    """Return what a program hands over as a policy: a function, an object, or a class to be made.

    Nobody saw what an object read before. Unless it says what it is made of (`version`, `weights_files` or a
    `model_hash` of its own), its identity is of this process alone; so is code that stands in no file.

    Args:
        thing: a function with `@policy`, an object with `infer` and `spec` or `@policy`, or a class of such.
        spec: what a function wants and gives; None: it says so itself with `@policy`.
        options: keyword arguments for the constructor of a class, or fields of its `options_type`.

    Raises:
        ConfigError: it does not say what it wants, or cannot be made.
    """
    name = called(thing)

    def make(identity: PolicyIdentity) -> Policy[object]:
        made = _construct(name, thing, dict(options or {}))
        identity.handed_over(is_made=not inspect.isclass(thing))
        return _completed(name, _module_of(thing), made, spec, identity)

    return _watched(name, options, make)


def called(thing: object) -> str:
    """Return the name of a function or a class, and of an object that of its class."""
    thing = _unwrapped(thing)
    return str(getattr(thing, "__name__", type(thing).__name__))


def _unwrapped(thing: object) -> object:
    while isinstance(thing, functools.partial):
        thing = thing.func
    return thing


def _module_of(thing: object) -> ModuleType:
    """Return where a function or a class is defined; an empty module if nobody knows."""
    name = str(getattr(_unwrapped(thing), "__module__", ""))
    return sys.modules.get(name, ModuleType(name or "unknown"))


def _watched(
    target: str,
    options: Mapping[str, OptionValue] | None,
    make: Callable[[PolicyIdentity], Policy[object]],
) -> Policy[object]:
    """Return the policy that `make` makes while somebody watches which files it reads."""
    identity = PolicyIdentity(f"policy {target!r}", options or {})
    identity.begin()
    try:
        return make(identity)
    except BaseException:
        identity.abandon()
        raise


def _completed(
    target: str, module: ModuleType, thing: object, spec: PolicySpec | None, identity: PolicyIdentity
) -> Policy[object]:
    declaration = declaration_of(thing)
    version = declaration.version if declaration is not None else str(getattr(thing, "version", ""))
    declared = getattr(thing, "weights_files", None) if declaration is None else declaration.weights_files
    identity.made_of(module, version, declared)
    if hasattr(thing, "infer") and (declaration is not None or hasattr(thing, "spec")):
        return cast("Policy[object]", CompletedPolicy(thing, declaration, identity))
    if spec is not None:
        is_shared = declaration is not None and declaration.is_shared
        declaration = PolicyDeclaration(spec, version, is_shared=is_shared)
    if declaration is None or not callable(thing):
        raise ConfigError(
            f"policy {target!r}",
            wanted="a function with @policy(actions=…, state=…), or a class with spec and infer",
            got=f"a {type(thing).__name__} that says nothing about its actions",
            fix="decorate it with vagus.policy, or give a [spec] in the manifest",
        )
    return cast("Policy[object]", FunctionPolicy(thing, declaration, identity))


def _construct(target: str, found: object, options: dict[str, OptionValue]) -> object:
    if not inspect.isclass(found):
        if options:
            raise ConfigError(
                f"policy {target!r}",
                wanted="no options, because it is not a class",
                got=f"options {sorted(options)}",
            )
        return found
    subject, kind = f"policy {target!r}", options_type_of(found)
    given = options if kind is None else {"options": read_options(subject, kind, options)}
    return construct(subject, found, given)


def _takes_row(act: Callable[..., object]) -> bool:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [
        p
        for p in inspect.signature(act).parameters.values()
        if p.kind in kinds and p.default is inspect.Parameter.empty
    ]
    return len(required) > 1


def _infer_arrays(infer: Infer, batch: Sequence[Row[object]]) -> Iterator[ActionChunk | PolicyError]:
    """Yield what a class with `@policy` answers; bare arrays are actions in the robot's units."""
    for index, result in enumerate(infer(batch)):
        yield _as_chunk(result, batch[min(index, len(batch) - 1)].step)  # the server refuses one too many


def _as_chunk(result: object, step: int) -> ActionChunk | PolicyError:
    if isinstance(result, (ActionChunk, PolicyError)):
        return result
    try:
        actions = np.array(result, dtype=np.float32)
    except Exception as error:  # noqa: BLE001 - the user's result may be anything; its robot is told
        return failure_of(error)
    return ActionChunk(step=step, model=actions, robot=actions)
