"""Docstrings of the fields of a class: the text under each, for helps and tables."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from typing import cast

__all__ = ["field_docstrings"]


def field_docstrings(kind: type) -> dict[str, str]:
    """Return field → the docstring under it, on one line; fields without one, or of a base, are left out.

    Raises:
        OSError, TypeError: the source of the class is not at hand.
    """
    source = textwrap.dedent(inspect.getsource(kind))
    body = cast("ast.ClassDef", ast.parse(source).body[0]).body
    return {
        field.target.id: " ".join(inspect.cleandoc(below.value.value).split())
        for field, below in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(below.value.value, str)
    }
