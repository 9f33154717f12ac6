"""Which tenant a client belongs to, and what is no table of tenants."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ConfigError
from vagus.server.config import ServeConfig
from vagus.server.manifest import load_manifest
from vagus.server.tenants import MAX_PATTERNS, MAX_TENANTS, OTHER, Tenant, TenantTable
from vagus.transport.keys import sanitise

LAB = Tenant(name="lab", clients=("lab-*",))
LAB_A = Tenant(name="lab-a", clients=("lab-a-*", "guest 1"), weight=2.0, max_sessions=3)
ARM = Tenant(name="arm", clients=("lab-a-arm",), max_requests_per_s=5.0)


def test_the_longest_match_wins_and_a_whole_name_is_longest() -> None:
    table = TenantTable([LAB, LAB_A, ARM])
    assert table.of("lab-b-1") is LAB
    assert table.of("lab-a-1") is LAB_A
    assert table.of("lab-a-arm") is ARM
    assert table.of(sanitise("guest 1")) is LAB_A


def test_the_rest_is_one_tenant_where_there_are_tenants() -> None:
    table = TenantTable([LAB])
    assert table.of("desk") is table.of("la")
    assert table.of("desk").name == OTHER
    assert table.labels == ("lab", OTHER)
    assert [table.of(client).label for client in ("lab-1", "desk")] == ["lab", OTHER]


def test_a_tenant_may_have_the_rest() -> None:
    rest = Tenant(name="rest", clients=("*",), weight=0.5)
    assert TenantTable([LAB, rest]).of("desk") is rest


def test_without_tenants_each_client_is_its_own() -> None:
    table = TenantTable()
    assert [table.of(name).name for name in ("arm", "leg")] == ["arm", "leg"]
    assert table.of("arm").label == ""
    assert table.labels == ()


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf"), 101.0, 0.001])
def test_a_weight_is_a_number_in_its_range(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"tenants: lab: wanted a weight from 0\.01 to 100, got"):
        Tenant(name="lab", clients=("lab-*",), weight=weight)


@pytest.mark.parametrize("count", [0, -1, 100_001])
def test_a_session_quota_is_at_least_one(count: int) -> None:
    with pytest.raises(ConfigError, match=f"tenants: lab: max_sessions: wanted 1 to 100000, got {count}"):
        Tenant(name="lab", clients=("lab-*",), max_sessions=count)


@pytest.mark.parametrize("rate", [0.0, 1e-301, -2.0, float("nan"), float("inf"), 2e6])
def test_a_request_quota_is_above_zero(rate: float) -> None:
    with pytest.raises(ConfigError, match="tenants: lab: max_requests_per_s: wanted a number from "):
        Tenant(name="lab", clients=("lab-*",), max_requests_per_s=rate)


@pytest.mark.parametrize(
    ("tenants", "said"),
    [
        ([Tenant(name="", clients=("a",))], "wanted a name of letters"),
        ([Tenant(name="lab a", clients=("a",))], "wanted a name of letters"),
        ([Tenant(name="-a", clients=("a",))], "wanted a name of letters"),
        ([Tenant(name="a" * 65, clients=("a",))], "wanted a name of letters"),
        ([Tenant(name=OTHER, clients=("a",))], "and not 'other'"),
        ([LAB, Tenant(name="lab", clients=("a",))], "wanted each name once, got 'lab' twice"),
        ([Tenant(name="lab")], "tenants: lab: clients: wanted at least one name"),
        ([LAB, Tenant(name="b", clients=("lab-*",))], "got 'lab-\\*', which 'lab' has, too"),
        ([Tenant(name="b", clients=("x", "x"))], "got 'x', which 'b' has, too"),
        ([Tenant(name="b", clients=("lab a-*",))], "tenants: b: clients: wanted a beginning of letters"),
        ([Tenant(name="b", clients=("a*b",))], "tenants: b: clients: wanted a client's name"),
        (
            [Tenant(name=f"t{n}", clients=(f"t{n}-*",)) for n in range(MAX_TENANTS + 1)],
            f"wanted at most {MAX_TENANTS}, got {MAX_TENANTS + 1}",
        ),
        ([Tenant(name="b", clients=tuple(f"r{n}" for n in range(MAX_PATTERNS + 1)))], "patterns, got more"),
    ],
)
def test_a_wrong_table_is_refused_where_settings_are_read(tenants: list[Tenant], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ServeConfig(tenants=tuple(tenants))


def test_a_manifest_has_tenants_as_a_list_of_tables(tmp_path: Path) -> None:
    manifest = tmp_path / "serve.yaml"
    manifest.write_text(
        "tenants:\n"
        "- {name: lab-a, clients: [lab-a-*, guest 1], weight: 2, max_sessions: 3}\n"
        "- {name: arm, clients: [lab-a-arm], max_requests_per_s: 5}\n"
    )
    assert load_manifest(manifest).tenants == (LAB_A, ARM)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tenants: [{name: a, client: [x]}]", "did you mean clients"),
        ("tenants: [{name: a, clients: [x], weight: heavy}]", "float"),
        ("tenants: [{name: a, clients: [x], weight: .nan}]", "wanted a weight"),
        ("tenants: [{name: a, clients: [x], max_sessions: 0}]", "wanted 1 to"),
        ("tenants: [{name: a, clients: [x]}, {name: a, clients: ['y']}]", "'a' twice"),
        ("tenants: {name: a}", "array"),
    ],
)
def test_a_mistake_in_a_manifest_is_told(tmp_path: Path, text: str, said: str) -> None:
    manifest = tmp_path / "serve.yaml"
    manifest.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_manifest(manifest)


def test_places_are_kept_for_quotas_while_there_are_so_many() -> None:
    table = TenantTable([LAB, LAB_A])
    assert table.kept(3) == {"lab-a": 3}
    assert table.kept(2) == {}


def test_quotas_above_what_the_server_has_are_told() -> None:
    table = TenantTable([LAB, LAB_A, ARM])
    assert table.excess(max_sessions=3, requests_per_s=5.0) == []
    sessions, rates = table.excess(max_sessions=2, requests_per_s=4.0)
    assert "are 3 together, but there are 2 places" in sessions
    assert "are 5 per second together, but the policy answers at most about 4" in rates
    assert len(table.excess(max_sessions=2)) == 1


@given(st.lists(st.text("ab-", max_size=4), unique=True, min_size=1, max_size=8), st.text("ab-", max_size=6))
def test_it_is_the_tenant_of_the_longest_beginning(beginnings: list[str], client: str) -> None:
    tenants = []
    for number, beginning in enumerate(beginnings):
        tenant = Tenant(name=f"t{number}", clients=(f"{beginning}*",))
        try:
            TenantTable([tenant])
        except ConfigError:
            continue
        tenants.append(tenant)
    matching = [t for t in tenants if client.startswith(t.clients[0].removesuffix("*"))]
    wanted = max(matching, key=lambda t: len(t.clients[0]), default=None)
    found = TenantTable(tenants).of(client)
    assert found.name == (OTHER if wanted is None else wanted.name) or not tenants
