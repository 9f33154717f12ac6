"""The model that a client names is one of the operator's table, or the one that is served."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from vagus.errors import SpecError
from vagus.gateways.model_choice import check_model, listed_model
from vagus.wire.schema import Capabilities

MODEL = "user/model"
HOW = "name one of these"


@pytest.mark.parametrize(
    ("asked", "models", "entry"),
    [
        (MODEL, {}, ""),
        (MODEL, {MODEL: "act", "*": "pi0"}, MODEL),
        ("another", {MODEL: "act", "*": "pi0"}, "*"),
    ],
)
def test_a_model_is_looked_up_in_the_table(asked: str, models: Mapping[str, str], entry: str) -> None:
    assert listed_model(asked, models, how=HOW) == entry


def test_a_model_that_is_not_in_the_table_is_refused_with_the_table() -> None:
    with pytest.raises(SpecError, match="wanted a, b, got user/model; name one of these"):
        listed_model(MODEL, {"b": "", "a": ""}, how=HOW)


def capabilities(model: str, revision: str = "main", name: str = "default") -> Capabilities:
    return Capabilities(
        server="s", model=model, revision=revision, service_name=name, model_hash="h", policy_type="act",
        actions=(), state=(), horizon=1, model_dim=1, rate_hz=30.0, schema_min=1, schema_max=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    "asked", [MODEL, "user/model/main", "user/model/main/default", "user_model-f3949f1a/main/default"]
)
def test_the_served_model_may_be_named_as_it_is(asked: str) -> None:
    check_model(asked, capabilities(MODEL), how=HOW)


@pytest.mark.parametrize("asked", ["user/mode", "model", "/", "", "user/model/v2", "/".join("a" * 500)])
def test_another_model_is_refused_with_the_one_that_is_served(asked: str) -> None:
    with pytest.raises(SpecError, match=r"wanted user/model \(service user_model-f3949f1a/main/default\)"):
        check_model(asked, capabilities(MODEL), how=HOW)
