"""What the documents tell people to type, and the files that they show."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "DOCUMENTS",
    "FILE_NAME",
    "ROOT",
    "Typed",
    "files_shown",
    "flags_named",
    "lines_typed",
    "put_files",
    "spans",
]

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/*.md")])

PROMPT = re.compile(r"^\s*(?P<prompt>\$ )?(?:[A-Z_]+=\S+ )*(?P<program>[a-z][a-z-]*)(?= |$)")
FENCE = re.compile(r"^\s*```(?P<language>\w*)")
SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
FILE_NAME = re.compile(r"^\s*# (?P<name>[\w./]+\.(?:yaml|toml|json|py))\b")
EXECUTED = re.compile(r"^\s*<!-- executed: (?P<name>\S+) -->$")
OMITTED = "…"
CERTIFICATES = ("ca.pem", "router.pem", "router.key", "gpu.pem", "gpu.key", "robot.pem", "robot.key")
SHELLS = ("", "console", "sh", "bash")


@dataclass(frozen=True)
class Typed:
    """A command line, or a piece of one.

    Attributes:
        place: document and line.
        text: as it stands there; continued lines are joined.
    """

    place: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words, without prompt, variables, comment and what is left out."""
        words = [word for word in shlex.split(self.text, comments=True) if word != OMITTED]
        while words and (words[0] == "$" or re.match(r"[A-Z_]+=", words[0])):
            del words[0]
        return words

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass(frozen=True)
class _Line:
    number: int
    text: str
    language: str | None
    """Of the block that it stands in, None outside of blocks; an indented block has none: ""."""
    is_first: bool


def _place(document: Path, number: int) -> str:
    return f"{document.relative_to(ROOT)}:{number}"


def _lines(document: Path) -> Iterator[_Line]:
    language, is_first = None, False
    for number, text in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(text)
        if fence:
            language, is_first = (fence["language"], True) if language is None else (None, False)
            continue
        is_indented = language is None and text.startswith("    ")
        yield _Line(number, text, "" if is_indented else language, is_first)
        is_first = False


def lines_typed(document: Path, *programs: str) -> Iterator[Typed]:
    """Yield the commands of `programs` in the blocks of a document."""
    lines = iter(_lines(document))
    for line in lines:
        found = PROMPT.match(line.text)
        if line.language not in SHELLS or not found or found["program"] not in programs:
            continue
        text = line.text.strip()
        while text.endswith("\\"):
            text = f"{text[:-1].rstrip()} {next(lines).text.strip()}"
        yield Typed(_place(document, line.number), text)


def spans(document: Path) -> Iterator[Typed]:
    """Yield what stands between backticks in running text, and in tables."""
    prose = "\n".join(_prose(document))
    for found in SPAN.finditer(prose):
        number = prose.count("\n", 0, found.start()) + 1
        yield Typed(_place(document, number), " ".join(found[1].split()))


def _prose(document: Path) -> list[str]:
    lines = [""] * len(document.read_text(encoding="utf-8").splitlines())
    for line in _lines(document):
        if line.language is None or line.text.lstrip().startswith("|"):
            lines[line.number - 1] = line.text
    return lines


def flags_named(typed: Typed) -> Iterator[str]:
    """Yield the flags in it, without their values."""
    for word in typed.text.split():
        if re.match(r"--[a-z]", word):
            yield word.partition("=")[0]


def files_shown(document: Path) -> dict[str, str]:
    """Return the files that a document shows: blocks that begin with a name, or are marked as executed."""
    files: dict[str, list[str]] = {}
    marked, name = "", ""
    for line in _lines(document):
        mark, title = EXECUTED.match(line.text), FILE_NAME.match(line.text)
        if mark:
            marked = mark["name"]
        if line.language is None:
            name = name if not line.text.strip() else ""  # an indented block may hold empty lines
            continue
        if line.is_first:
            name, marked = marked or (title["name"] if title else ""), ""
        elif line.language == "" and title:
            name = title["name"]
        if name:
            files.setdefault(name, []).append(line.text)
    return {name: "\n".join(lines) + "\n" for name, lines in files.items()}


def put_files(document: Path, folder: Path) -> None:
    """Write what a document shows, and what it takes for granted: certificates, and what lies beside it."""
    for name, text in files_shown(document).items():
        (folder / name).write_text(text, encoding="utf-8")
    for name in CERTIFICATES:
        (folder / name).touch()
    (folder / "access.json5").write_text("{}")
    for beside in document.parent.glob("*.toml") if document.parent.parent.name == "examples" else ():
        shutil.copy(beside, folder)
