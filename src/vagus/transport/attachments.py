"""Bytes beside the payload of a message: its header with our checksum, or the header alone (pure)."""

from __future__ import annotations

from typing import Protocol

from vagus.transport.integrity import SEAL_SIZE, check_seal, seal

__all__ = ["Attachments", "PlainAttachments", "SealedAttachments"]


class Attachments(Protocol):
    """Form of the attachment of a message. `b""` stands for no attachment."""

    def attachment(self, header: bytes, payload: bytes) -> bytes:
        """Return the attachment of a message to send."""
        ...

    def header(self, attachment: bytes) -> bytes:
        """Return the header in an attachment, without a check."""
        ...

    def checked_header(self, attachment: bytes, payload: bytes) -> bytes | None:
        """Return the header of a received message, or None if the message is damaged."""
        ...


class SealedAttachments:
    """Attachments with a checksum of header and payload at their end: messages between parties of vagus."""

    def __init__(self, *, is_checking: bool = True) -> None:
        self._is_checking = is_checking

    def attachment(self, header: bytes, payload: bytes) -> bytes:
        """See `Attachments.attachment`."""
        return seal(header, payload)

    def header(self, attachment: bytes) -> bytes:
        """See `Attachments.header`."""
        return attachment[:-SEAL_SIZE]

    def checked_header(self, attachment: bytes, payload: bytes) -> bytes | None:
        """See `Attachments.checked_header`; without checking, no message counts as damaged."""
        header = check_seal(attachment, payload)
        return self.header(attachment) if header is None and not self._is_checking else header


class PlainAttachments:
    """Attachments that are the header and nothing else: messages of a foreign protocol."""

    def attachment(self, header: bytes, payload: bytes) -> bytes:  # noqa: ARG002
        """See `Attachments.attachment`."""
        return header

    def header(self, attachment: bytes) -> bytes:
        """See `Attachments.header`."""
        return attachment

    def checked_header(self, attachment: bytes, payload: bytes) -> bytes | None:  # noqa: ARG002
        """See `Attachments.checked_header`; nothing tells a damaged message."""
        return attachment
