"""Explanation why an endpoint does not answer or cannot be listened on, found with plain sockets.

Zenoh reports every failure as "could not connect".
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress

from vagus.transport.zenoh_config import TlsConfig

__all__ = ["why_not_listening", "why_unreached"]

CONNECT_TIMEOUT_S = 1.0
VERDICT_S = 0.3
"""Wait after the handshake: a router that refuses our certificate says so at once."""
MAX_TRIED = 3
"""Largest number of endpoints that are examined."""

TRIED = ("tcp", "tls")
"""Protocols that plain sockets can examine."""

_LISTENING = (
    ("in use", "another program listens there; is it a router that still runs?"),
    ("assign requested address", "this machine has no such address; 0.0.0.0, or [::], is all that it has"),
    ("lookup", "this name is not known; check it, or name an address"),
    ("not known", "this name is not known; check it, or name an address"),
    ("ermission denied", "ports below 1024 need the right to them; take a higher one"),
)


def why_not_listening(said: str) -> str:
    """Return advice for an endpoint that cannot be listened on.

    Args:
        said: error text of the system.
    """
    return next((fix for part, fix in _LISTENING if part in said), "check the endpoint")


def why_unreached(endpoints: Iterable[str], tls: TlsConfig) -> str:
    """Return why no endpoint answers and what to do; "" if plain sockets cannot tell.

    Takes at most 1.5 s per endpoint, or longer if a name server is slow.
    """
    reasons: dict[str, None] = {}
    for endpoint in list(endpoints)[:MAX_TRIED]:
        protocol, _, address = endpoint.partition("/")
        if protocol in TRIED:
            host, _, port = re.split(r"[?#]", address, maxsplit=1)[0].rpartition(":")
            reasons[_why(host.strip("[]"), int(port), tls if protocol == "tls" else None)] = None
    return "; ".join(reason for reason in reasons if reason)


def _why(host: str, port: int, tls: TlsConfig | None) -> str:
    try:
        with socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S) as connection:
            if tls is None:
                return (
                    f"what listens on port {port} of {host} does not answer as a router without certificates "
                    "does; is it one, and does it hang?"
                )
            return _why_not_secured(connection, host, tls)
    except socket.gaierror:
        return f"the name {host} is not known; check it, or name an address"
    except ConnectionRefusedError:
        return f"nothing listens on port {port} of {host}; start a router there (vagus router)"
    except TimeoutError:
        return f"{host} does not answer; is it on, the address right, and port {port} open in its firewall?"
    except OSError as error:
        return f"{host}: {error.strerror or error}"


def _why_not_secured(connection: socket.socket, host: str, tls: TlsConfig) -> str:
    context = ssl.create_default_context(cafile=str(tls.ca))
    context.check_hostname = tls.verify_name
    try:
        context.load_cert_chain(str(tls.certificate), str(tls.private_key))
    except ssl.SSLError:
        return f"{tls.private_key} is not the key of {tls.certificate}"
    connection.settimeout(CONNECT_TIMEOUT_S)
    try:
        with context.wrap_socket(connection, server_hostname=host) as secured:
            secured.settimeout(VERDICT_S)
            with suppress(TimeoutError):  # it waits for us to speak, as a router does
                secured.recv(1)
    except ssl.SSLCertVerificationError as error:
        return _why_not_trusted(error, host, tls)
    except ssl.SSLError as error:
        return _why_refused(str(error), tls)
    except OSError:
        return _why_refused("", tls)
    return ""


def _why_not_trusted(error: ssl.SSLCertVerificationError, host: str, tls: TlsConfig) -> str:
    said = error.verify_message
    if "match" in said:
        return (
            f"the router's certificate is not for {host}; connect by the name that it has, issue it for this "
            "one, too, or give --tls.no-verify-name"
        )
    if "expired" in said or "not yet valid" in said:
        return f"the router's {said}; issue a new one, or set this machine's clock"
    return f"the router's certificate is not signed by {tls.ca} ({said})"


def _why_refused(said: str, tls: TlsConfig) -> str:
    if "ALERT" in said.upper():
        expired = "expired" in said
        why = "has expired" if expired else "is not signed by the authority that it trusts"
        return f"the router refuses our certificate {tls.certificate}: it {why}"
    return "what listens there does not speak TLS; a router without certificates is named tcp/host:port"
