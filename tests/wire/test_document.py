from __future__ import annotations

import inspect
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from vagus.edge.asking import DEVICE_SHARE
from vagus.transport.keys import sanitise
from vagus.wire import schema
from vagus.wire.codec import MAX_OBSERVATION_BYTES
from vagus.wire.document import fill_tables, main, table
from vagus.wire.schema import Ack, EventCode, Header, OpenMessage, WireAction

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "wire-messages.md"
MESSAGES_TEXT = PAGE.read_text(encoding="utf-8")
TEXT = (DOCS / "wire-protocol.md").read_text(encoding="utf-8") + MESSAGES_TEXT
MESSAGES = [
    name
    for name in schema.__all__
    if inspect.isclass(getattr(schema, name)) and issubclass(getattr(schema, name), msgspec.Struct)
]


def test_the_committed_tables_are_up_to_date() -> None:
    """If not: `python -m vagus.wire.document docs/wire-*.md`."""
    assert fill_tables(TEXT) == TEXT


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_has_its_table_and_every_field_its_text(name: str) -> None:
    kind = getattr(schema, name)
    assert f"<!-- table {name} -->\n{table(kind)}<!-- end -->" in TEXT
    rows = table(kind).splitlines()[2:]
    assert len(rows) == len(kind.__struct_fields__)
    assert all(re.fullmatch(r"\| `\w+` \| .+ \| .+ \| .{3,} \|", row) for row in rows)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_text_above_a_table_is_that_of_the_message(name: str) -> None:
    if name not in ("Header", "TensorMessage", "ImageMessage", "DepthMessage"):  # these have a chapter
        assert f"### {name}\n\n{inspect.getdoc(getattr(schema, name))}\n" in TEXT


def test_links_between_tables_lead_somewhere() -> None:
    headings = {
        heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", MESSAGES_TEXT, re.MULTILINE)
    }
    assert {link.lower() for link in re.findall(r"\]\(#([\w-]+)\)", MESSAGES_TEXT)} <= headings


def test_every_event_code_is_listed() -> None:
    last = TEXT.rpartition("## Event codes")[2]
    assert re.findall(r"`(\w+)`", last) == [code.value for code in EventCode]


def test_the_numbers_in_the_text_are_those_of_the_code() -> None:
    assert f"observation {MAX_OBSERVATION_BYTES:,} bytes".replace(",", " ") in TEXT
    assert f"`robot 7` is `{sanitise('robot 7')}`" in TEXT


def test_a_row_says_type_default_and_meaning() -> None:
    assert table(WireAction).splitlines()[2:] == [
        "| `name` | text (at most 256) | required | Unique among the actions. |",
        '| `unit` | text (at most 64) | `""` | Empty: nobody stated it. |',
        '| `kind` | text (at most 64) | `"position"` | position, velocity, delta, effort or binary. |',
        '| `encoding` | text (at most 64) | `""` | Encoding of a binary: unit, signed, logit; inverted, '
        "threshold=, hysteresis=; empty: not stated. |",
    ]
    assert "| `kind` | integer | required |" in table(Header)
    assert "| `tags` | map (at most 64) of text (at most 256) → text (at most 1024) | `{}` |" in table(
        OpenMessage
    )
    assert "| `warnings` | list (at most 64) of text (at most 2048) | `[]` |" in table(Ack)
    assert "| `capabilities` | [Capabilities](#capabilities) or nil | `nil` |" in table(Ack)


def test_stale_tables_are_brought_up_to_date_in_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    shutil.copy(PAGE, page)
    page.write_text(
        MESSAGES_TEXT.replace("| `accepted` | boolean |", "| `accepted` | text |"), encoding="utf-8"
    )
    assert main([str(page)]) == 0
    assert page.read_text(encoding="utf-8") == MESSAGES_TEXT


def test_the_document_says_how_much_of_a_device_robots_use_that_ask_sooner_than_they_must() -> None:
    assert f"`inference_ms / batch_size × load.sessions / {DEVICE_SHARE:g}`" in TEXT
