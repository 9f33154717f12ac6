from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vagus.errors import ConfigError
from vagus.transport.zenoh_config import LinkMode, RouterConfig, TlsConfig, ZenohConfig, parse_extra


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "some.pem"
    path.write_text("certificate")
    return path


def test_a_client_finds_only_whom_it_was_told_of() -> None:
    settings = json.loads(ZenohConfig().to_json5())
    assert settings["mode"] == "client"
    assert settings["listen"]["endpoints"] == []
    assert settings["scouting"] == {
        "delay": 0,
        "multicast": {"enabled": False},
        "gossip": {"enabled": False},
    }
    assert settings["transport"]["link"]["protocols"] == ["tcp"]


def test_waiting_before_a_close_stays_below_the_lease() -> None:
    """Longer, and a router may never take the robot back after an outage."""
    settings = json.loads(ZenohConfig().to_json5())
    tx = settings["transport"]["link"]["tx"]
    assert tx["queue"]["congestion_control"]["block"]["wait_before_close"] < tx["lease"] * 1000
    with pytest.raises(ConfigError, match="lease_s"):
        ZenohConfig(lease_s=1.0)


def test_a_send_buffer_of_zero_is_left_to_the_system() -> None:
    link = json.loads(ZenohConfig(send_buffer_bytes=0).to_json5())["transport"]["link"]
    assert link["tcp"] == {}


@pytest.mark.parametrize("missing", ["ca", "certificate", "private_key"])
def test_two_of_three_certificate_files_are_refused(pem: Path, missing: str) -> None:
    files = {"ca": pem, "certificate": pem, "private_key": pem}
    del files[missing]
    with pytest.raises(ConfigError, match=f"no {missing}"):
        TlsConfig(
            ca=files.get("ca"), certificate=files.get("certificate"), private_key=files.get("private_key")
        )


def test_a_certificate_file_that_is_not_there_is_refused(pem: Path) -> None:
    with pytest.raises(ConfigError, match="not there"):
        TlsConfig(ca=pem, certificate=pem.with_name("none.pem"), private_key=pem)


def test_certificates_are_found_again_from_another_working_directory(
    pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pem.parent)
    here = Path(pem.name)
    tls = TlsConfig(ca=here, certificate=here, private_key=here)
    assert (tls.ca, tls.certificate, tls.private_key) == (pem, pem, pem)


def test_certificates_and_endpoints_must_agree(pem: Path) -> None:
    tls = TlsConfig(ca=pem, certificate=pem, private_key=pem)
    assert TlsConfig().is_on is False
    settings = json.loads(ZenohConfig(connect=("tls/router:7447",), tls=tls).to_json5())
    assert settings["transport"]["link"]["tls"]["enable_mtls"] is True
    assert settings["transport"]["link"]["protocols"] == ["tls"]
    with pytest.raises(ConfigError, match="without certificates"):
        ZenohConfig(connect=("tls/router:7447",))
    with pytest.raises(ConfigError, match="with certificates"):
        ZenohConfig(connect=("tcp/router:7447",), tls=tls)


WRONG = ("tcp/router:99999",)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ZenohConfig(connect=WRONG),
        lambda: ZenohConfig(mode=LinkMode.PEER, listen=WRONG),
        lambda: RouterConfig(connect=WRONG),
        lambda: RouterConfig(listen=WRONG),
    ],
)
def test_endpoints_are_checked_wherever_they_are_given(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match="protocol/host:port"):
        make()


def endpoints_of(config: ZenohConfig) -> tuple[list[str], list[str]]:
    settings = json.loads(config.to_json5())
    return settings["connect"]["endpoints"], settings["listen"]["endpoints"]


@pytest.mark.parametrize("mode", list(LinkMode))
def test_without_endpoints_a_router_of_this_machine_is_meant(mode: LinkMode) -> None:
    assert endpoints_of(ZenohConfig(mode=mode)) == (["tcp/127.0.0.1:7447"], [])


def test_a_client_connects_and_does_not_listen() -> None:
    with pytest.raises(ConfigError, match=r"client mode.*--mode peer"):
        ZenohConfig(listen=("tcp/0.0.0.0:7447",))


def test_a_peer_that_listens_needs_nothing_else() -> None:
    config = ZenohConfig(mode=LinkMode.PEER, listen=("tcp/0.0.0.0:7447",))
    assert endpoints_of(config) == ([], ["tcp/0.0.0.0:7447"])
    assert json.loads(config.to_json5())["mode"] == "peer"


def test_a_peer_does_not_listen_and_connect() -> None:
    with pytest.raises(ConfigError, match="need a router"):
        ZenohConfig(mode=LinkMode.PEER, listen=("tcp/0.0.0.0:7447",), connect=("tcp/127.0.0.1:7447",))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_times_that_mean_nothing_are_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="open_timeout_s"):
        ZenohConfig(open_timeout_s=value)
    with pytest.raises(ConfigError, match="lease_s"):
        RouterConfig(lease_s=value)


def test_a_watchdog_of_zero_is_off_and_a_negative_one_is_refused() -> None:
    assert ZenohConfig(watchdog_s=0.0).watchdog_s == 0.0
    with pytest.raises(ConfigError, match="watchdog_s"):
        ZenohConfig(watchdog_s=-1.0)


def test_extra_settings_are_path_and_json5() -> None:
    assert parse_extra(("transport/link/tx/lease = 3000", 'id="a=b"')) == (
        ("transport/link/tx/lease", "3000"),
        ("id", '"a=b"'),
    )
    for wrong in ("lease", "=1", "lease="):
        with pytest.raises(ConfigError, match="path=JSON5"):
            ZenohConfig(extra=(wrong,))


def test_a_router_listens_and_asks_other_routers_for_ever() -> None:
    config = RouterConfig(connect=("tcp/other:7447",))
    settings = json.loads(config.to_json5(("tcp/127.0.0.1:1234",)))
    assert settings["listen"]["endpoints"] == ["tcp/127.0.0.1:1234"]
    assert settings["connect"]["timeout_ms"] == -1
    assert settings["transport"]["unicast"]["max_sessions"] == 5000


def test_a_router_that_cannot_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one endpoint"):
        RouterConfig(listen=())
    with pytest.raises(ConfigError, match="max_sessions"):
        RouterConfig(max_sessions=0)
    with pytest.raises(ConfigError, match="access_control"):
        RouterConfig(access_control=tmp_path / "none.json5")
