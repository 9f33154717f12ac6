"""Why nobody answers, as people are told it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from transport.certificates import DAY, Authority
from vagus.errors import LinkError
from vagus.transport.router import Router
from vagus.transport.unreached import why_not_listening, why_unreached
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import LinkMode, RouterConfig, TlsConfig, ZenohConfig

NO_TLS = TlsConfig()


@contextlib.contextmanager
def listening(backlog: int = 4) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        yield int(server.getsockname()[1])


@contextlib.contextmanager
def secured(tls: TlsConfig) -> Iterator[str]:
    with Router(RouterConfig(listen=("tls/127.0.0.1:0",), tls=tls)) as router:
        yield router.endpoints[0]


def told(endpoint: str, tls: TlsConfig = NO_TLS, mode: LinkMode = LinkMode.CLIENT) -> str:
    """Return what a person is told who cannot get in."""
    config = ZenohConfig(mode=mode, connect=(endpoint,), tls=tls, open_timeout_s=0.2)
    with pytest.raises(LinkError) as caught, ZenohLink(config):
        pass
    return str(caught.value)


def test_a_port_where_nothing_listens() -> None:
    with listening() as port:
        pass
    assert f"nothing listens on port {port} of 127.0.0.1; start a router" in told(f"tcp/127.0.0.1:{port}")


def test_a_name_that_is_not_known() -> None:
    assert "the name nowhere.invalid is not known" in told("tcp/nowhere.invalid:7447")


def test_another_program_on_the_port() -> None:
    with listening() as port:
        assert "does not answer as a router" in told(f"tcp/127.0.0.1:{port}")


def test_a_router_with_certificates_asked_without(tmp_path: Path) -> None:
    with secured(Authority(tmp_path).issue("router")) as endpoint:
        plain = endpoint.replace("tls/", "tcp/")
        assert "does not answer as a router without certificates does" in told(plain)


def test_a_router_without_certificates_asked_with(tmp_path: Path) -> None:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:
        endpoint = router.endpoints[0].replace("tcp/", "tls/")
        assert "does not speak TLS" in told(endpoint, Authority(tmp_path).issue("arm"))


def test_a_router_of_another_authority(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    with secured(other.issue("router")) as endpoint:
        assert f"is not signed by {ours.ca}" in told(endpoint, ours.issue("arm"))


def test_our_certificate_is_of_another_authority(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    with secured(ours.issue("router")) as endpoint:
        stranger = other.issue("arm", ca=ours.ca)
        assert f"refuses our certificate {stranger.certificate}: it is not signed" in told(endpoint, stranger)


def test_a_router_by_a_name_that_its_certificate_does_not_have(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with secured(authority.issue("router")) as endpoint:
        by_name = endpoint.replace("127.0.0.1", "localhost")
        arm = authority.issue("arm")
        assert "certificate is not for localhost" in told(by_name, arm)
        with ZenohLink(ZenohConfig(connect=(by_name,), tls=replace(arm, verify_name=False))):
            assert why_unreached([by_name], replace(arm, verify_name=False)) == ""


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mixed = replace(authority.issue("arm"), private_key=authority.issue("spare").private_key)
    with secured(authority.issue("router")) as endpoint:
        assert f"{mixed.private_key} is not the key of {mixed.certificate}" in told(endpoint, mixed)


@pytest.mark.parametrize(
    ("side", "words"), [("router", "certificate has expired"), ("arm", "it has expired")]
)
def test_a_certificate_that_has_expired(tmp_path: Path, side: str, words: str) -> None:
    authority = Authority(tmp_path)
    files = {name: authority.issue(name, ends=-DAY if name == side else DAY) for name in ("router", "arm")}
    with secured(files["router"]) as endpoint:
        assert words in told(endpoint, files["arm"])


def test_a_peer_is_told_the_same() -> None:
    with listening() as port:
        pass
    assert f"nothing listens on port {port}" in told(f"tcp/127.0.0.1:{port}", mode=LinkMode.PEER)


def test_each_reason_is_said_once_and_other_protocols_are_left_alone() -> None:
    with listening() as port:
        pass
    said = why_unreached(
        [f"tcp/127.0.0.1:{port}#so_sndbuf=1", f"tcp/127.0.0.1:{port}", "serial/ttyS0"], NO_TLS
    )
    assert said.count("nothing listens") == 1
    assert why_unreached(["unixsock-stream/x"], NO_TLS) == ""


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [("tcp/192.0.2.1:7447", "no such address"), ("tcp/nowhere.invalid:7447", "name is not known")],
)
def test_where_a_router_cannot_listen(endpoint: str, words: str) -> None:
    with pytest.raises(LinkError, match=words):
        Router(RouterConfig(listen=(endpoint,))).open()


def test_a_port_in_use_and_one_that_takes_rights() -> None:
    assert "router that still runs" in why_not_listening("Address already in use (os error 98)")
    assert "below 1024" in why_not_listening("Permission denied (os error 13)")
