"""What a recording is told of the settings is all but the secrets."""

from __future__ import annotations

import json

import msgspec

from vagus.api.parts import RunSettings, told_settings
from vagus.control.config import RecorderConfig
from vagus.transport.zenoh_config import ZenohConfig


def test_no_password_of_the_network_is_told() -> None:
    network = ZenohConfig(
        connect=("tcp/gpu:7447",),
        extra=('transport/auth/usrpwd/password="hidden"', "transport/link/tx/keep_alive=8"),
    )
    told = told_settings(RunSettings(service="reach/0/main"), RecorderConfig(directory="runs"), network)
    text = json.dumps(msgspec.to_builtins(told, enc_hook=str))
    assert "hidden" not in text
    assert told["network_extra"] == ("transport/auth/usrpwd/password", "transport/link/tx/keep_alive")
    assert json.loads(text)["network"]["connect"] == ["tcp/gpu:7447"]
    assert (told["service"], json.loads(text)["record"]["directory"]) == ("reach/0/main", "runs")
