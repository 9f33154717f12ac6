"""Mutants of a module: small faults, each a change of its syntax tree that can be undone."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Mutant", "mutants_of"]

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
NAMES = {
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "fmin": "fmax",
    "fmax": "fmin",
    "any": "all",
    "all": "any",
    "ceil": "floor",
    "floor": "ceil",
}
DELETABLE = (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Raise, ast.Continue, ast.Break)
SILENT = ("logger", "_logger")
"""Names whose calls are for people and change nothing."""
LONGEST = 160


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        name: where it is, what was there and what is there instead; unique in its module.
        node: the node that differs.
        fields: its fields as they are in the mutant.
    """

    name: str
    node: ast.AST
    fields: dict[str, object]

    def swap(self) -> None:
        """Insert the fault; a second call removes it."""
        for field, value in self.fields.items():
            self.fields[field] = getattr(self.node, field)
            setattr(self.node, field, value)


def mutants_of(tree: ast.Module) -> list[Mutant]:
    """Return all mutants of a module, in the order of its lines."""
    found: list[Mutant] = []
    seen: Counter[str] = Counter()
    for where, node, fields, text in _faults(tree, ""):
        name = f"{where or 'module'}: {text}"
        seen[name] += 1
        found.append(Mutant(name if seen[name] == 1 else f"{name} #{seen[name]}", node, fields))
    return found


def _faults(node: ast.AST, where: str) -> Iterator[tuple[str, ast.AST, dict[str, object], str]]:
    if _is_declaration(node):
        return
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        where = f"{where}.{node.name}" if where else node.name
    for fields in _own_faults(node):
        yield where, node, fields, _change(node, fields)
    for field in ("body", "orelse", "finalbody"):
        statements = getattr(node, field, [])
        for place, statement in enumerate(statements if where and isinstance(statements, list) else []):
            if (
                isinstance(statement, DELETABLE)
                and not _is_declaration(statement)
                and _does_something(statement)
            ):
                without = [
                    *statements[:place],
                    ast.copy_location(ast.Pass(), statement),
                    *statements[place + 1 :],
                ]
                yield where, node, {field: without}, f"{_text(statement)} -> pass"
    for child in _worth_entering(node):
        yield from _faults(child, where)


def _change(node: ast.AST, fields: dict[str, object]) -> str:
    """Return the old and the new code on one line."""
    if isinstance(node, (ast.If, ast.IfExp)):
        return f"if {_text(node.test)} -> if not {_text(node.test)}"
    after = copy.copy(node)
    for field, value in fields.items():
        setattr(after, field, value)
    return f"{_text(node)} -> {_text(after)}"


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _does_something(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    if isinstance(node, ast.Assign):  # without a local name nothing works: no mutant worth its time
        return any(isinstance(target, (ast.Attribute, ast.Subscript)) for target in node.targets)
    return not isinstance(node, ast.AnnAssign)


def _is_declaration(node: ast.AST) -> bool:
    """Return whether a statement is for people or for the type checker."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return True
    if isinstance(node, ast.Assign):
        return any(
            isinstance(t, ast.Name) and t.id in ("__all__", "logger", "__slots__") for t in node.targets
        )
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Constant):
            return True
        call = node.value
        while isinstance(call, (ast.Call, ast.Attribute)):
            call = call.func if isinstance(call, ast.Call) else call.value
        return isinstance(call, ast.Name) and call.id in SILENT
    return False


def _worth_entering(node: ast.AST) -> list[ast.AST]:
    """Return the parts in which a fault changes what is done: no annotations, decorators and messages."""
    if isinstance(node, (ast.Raise, ast.JoinedStr)):
        return []
    if isinstance(node, ast.FunctionDef):
        return [*(d for d in node.args.defaults), *(d for d in node.args.kw_defaults if d), *node.body]
    if isinstance(node, ast.ClassDef):
        return list(node.body)
    skipped = {"annotation", "returns", "decorator_list"}
    if isinstance(node, ast.AnnAssign) and isinstance(node.annotation, ast.Name):
        skipped |= {"value"} if node.annotation.id == "TypeAlias" else set()
    children: list[ast.AST] = []
    for field, value in ast.iter_fields(node):
        if field not in skipped:
            children += [
                part for part in (value if isinstance(value, list) else [value]) if isinstance(part, ast.AST)
            ]
    return children


def _own_faults(node: ast.AST) -> Iterator[dict[str, object]]:
    made = FAULTS.get(type(node))
    return iter(()) if made is None else made(node)


def _comparisons(node: ast.Compare) -> Iterator[dict[str, object]]:
    for place, operator in enumerate(node.ops):
        for other in COMPARISONS[type(operator)]:
            yield {"ops": [*node.ops[:place], other(), *node.ops[place + 1 :]]}


def _booleans(node: ast.BoolOp) -> Iterator[dict[str, object]]:
    yield {"op": ast.Or() if isinstance(node.op, ast.And) else ast.And()}


def _arithmetic(node: ast.BinOp | ast.AugAssign) -> Iterator[dict[str, object]]:
    if type(node.op) in ARITHMETIC:
        yield {"op": ARITHMETIC[type(node.op)]()}


def _signs(node: ast.UnaryOp) -> Iterator[dict[str, object]]:
    if isinstance(node.operand, ast.Constant):
        return
    if isinstance(node.op, ast.USub):
        yield {"op": ast.UAdd()}
    else:
        yield {"operand": ast.copy_location(ast.UnaryOp(node.op, node.operand), node.operand)}


def _conditions(node: ast.If | ast.IfExp) -> Iterator[dict[str, object]]:
    yield {"test": ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test)}


def _calls(node: ast.Call) -> Iterator[dict[str, object]]:
    called = node.func
    if isinstance(called, ast.Attribute) and called.attr in NAMES:
        yield {"func": ast.copy_location(ast.Attribute(called.value, NAMES[called.attr], ast.Load()), called)}
    elif isinstance(called, ast.Name) and called.id in NAMES:
        yield {"func": ast.copy_location(ast.Name(NAMES[called.id], ast.Load()), called)}


def _constants(node: ast.Constant) -> Iterator[dict[str, object]]:
    value = node.value
    if isinstance(value, bool):
        yield {"value": not value}
    elif isinstance(value, int):
        yield {"value": value + 1}
    elif isinstance(value, float):
        yield {"value": value * 2.0 if value else 1.0}


def _returns(node: ast.Return) -> Iterator[dict[str, object]]:
    if node.value is not None and not isinstance(node.value, ast.Constant):
        yield {"value": ast.copy_location(ast.Constant(None), node.value)}


FAULTS: dict[type[ast.AST], Callable[..., Iterator[dict[str, object]]]] = {
    ast.Compare: _comparisons,
    ast.BoolOp: _booleans,
    ast.BinOp: _arithmetic,
    ast.AugAssign: _arithmetic,
    ast.UnaryOp: _signs,
    ast.If: _conditions,
    ast.IfExp: _conditions,
    ast.Call: _calls,
    ast.Constant: _constants,
    ast.Return: _returns,
}
