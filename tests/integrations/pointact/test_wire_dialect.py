"""Options of a request: those that change what the actions mean are refused, the others passed over."""

from __future__ import annotations

import pytest

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignRequest, Operation, WirePath
from vagus.integrations.pointact.wire_dialect import PointActBatch, check_options


def request(beside: dict[WirePath, Value]) -> ForeignRequest:
    return ForeignRequest(Operation.INFER, Envelope("pointact"), {}, beside)


@pytest.mark.parametrize(
    "beside",
    [
        {},
        {("data", "options"): None},
        {("data", "options"): {}},
        {("data", "options", "pred_rot_type"): None},
        {("data", "options", "pred_rot_type"): "quat"},
        {("data", "options", "remove_arm"): True, ("data", "options", "points_workspace", "x"): [1.0]},
    ],
)
def test_options_that_change_no_number_are_passed_over(beside: dict[WirePath, Value]) -> None:
    check_options(request(beside))


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ({("data", "options", "pred_rot_type"): "euler"}, "axisangle or quat, because .*, got euler"),
        ({("data", "options", "pred_rot_type"): "rot6d"}, "got rot6d"),
        ({("data", "options", "pred_rot_type"): [1]}, r"got \[1\]"),
        ({("data", "options"): "quat"}, "options: wanted a map or none, got str"),
        ({("data", "options"): [1]}, "options: wanted a map or none, got list"),
    ],
)
def test_an_option_that_changes_what_the_actions_are_is_refused(
    beside: dict[WirePath, Value], said: str
) -> None:
    with pytest.raises(ProtocolError, match=said):
        check_options(request(beside))


def test_a_row_names_its_model_or_none() -> None:
    seen: tuple[dict[WirePath, Value], ...] = ({("repo_id",): "user/a"}, {("task",): "pick"})
    rows = [ForeignRequest(Operation.INFER, Envelope("pointact"), observation) for observation in seen]
    assert PointActBatch(tuple(rows)).models == ("user/a", "")
