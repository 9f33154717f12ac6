"""Every counter of the robot's side is explained, and means one thing."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import vagus.edge.client
import vagus.edge.engine
from scripts.document import COUNTERS, with_counters
from vagus.edge.client.codec import ReplyFault
from vagus.edge.client.inflight import Mismatch
from vagus.edge.counters import CLIENT, ENGINE
from vagus.edge.engine import acceptance
from vagus.edge.engine.playback import Shortage

GIVEN_ON = ("_fail", "_refused")
"""Methods that take the name of a counter first."""


def literals(folder: str) -> Iterator[str]:
    """Yield every name that the modules of a folder count under."""
    for file in Path(folder).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("counters"):
                yield from texts(node.slice)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in GIVEN_ON:
                yield from texts(node.args[0])


def texts(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression may be: itself, or either branch of a choice."""
    if isinstance(node, ast.IfExp):
        yield from (*texts(node.body), *texts(node.orelse))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def rules() -> Iterator[str]:
    """Yield the counters of the rules that keep a chunk out: pairs of a name and a condition."""
    for node in ast.walk(ast.parse(inspect.getsource(acceptance))):
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            yield from texts(node.elts[0])


def test_every_counter_is_explained_and_none_that_is_not_counted() -> None:
    engine = set(literals(vagus.edge.engine.__path__[0])) | {shortage.value for shortage in Shortage}
    assert engine | set(rules()) == set(ENGINE)
    client = set(literals(vagus.edge.client.__path__[0]))
    client |= {fault.value for fault in ReplyFault} | {mismatch.value for mismatch in Mismatch}
    assert client == {name for name in CLIENT if not name.startswith("event_")}


def test_a_name_is_counted_on_one_side_only() -> None:
    assert not set(ENGINE) & set(CLIENT)


def test_the_committed_table_is_that_of_today() -> None:
    """If not: `python scripts/document.py`."""
    text = COUNTERS.read_text(encoding="utf-8")
    assert with_counters(text) == text
