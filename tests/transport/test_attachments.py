"""Forms of attachments: what is added to a header, and what is found damaged."""

from __future__ import annotations

import pytest

from vagus.transport.attachments import Attachments, PlainAttachments, SealedAttachments

HEADER = bytes(range(27))


@pytest.mark.parametrize(
    "form", [SealedAttachments(), SealedAttachments(is_checking=False), PlainAttachments()]
)
@pytest.mark.parametrize("header", [b"", HEADER])
def test_a_header_comes_back_as_it_was(form: Attachments, header: bytes) -> None:
    attachment = form.attachment(header, b"payload")
    assert form.header(attachment) == form.checked_header(attachment, b"payload") == header


def test_a_plain_attachment_is_the_header_and_nothing_else() -> None:
    plain = PlainAttachments()
    assert (plain.attachment(HEADER, b"payload"), plain.attachment(b"", b"payload")) == (HEADER, b"")
    assert plain.checked_header(HEADER, b"another payload") == HEADER


def test_a_sealed_message_with_another_payload_is_damaged_unless_nobody_checks() -> None:
    attachment = SealedAttachments().attachment(HEADER, b"payload")
    assert SealedAttachments().checked_header(attachment, b"Payload") is None
    assert SealedAttachments(is_checking=False).checked_header(attachment, b"Payload") == HEADER
