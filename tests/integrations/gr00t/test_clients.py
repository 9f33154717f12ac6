"""The test clients are the originals: they send the captured frames, and read the captured replies."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from integrations.gr00t.clients import (
    Actions,
    Client,
    ClientN15,
    ClientN16,
    ClientN17,
    flat_observation,
    nested_observation,
)

GOLDEN = {file.stem: file.read_bytes() for file in (Path(__file__).parent / "golden").glob("*.bin")}
NOWHERE = "127.0.0.1:1"
ZEROS = np.zeros(6, np.float32)
NESTED = {"observation": nested_observation(ZEROS[None], ["pick"]), "options": None}


@pytest.mark.parametrize(
    ("made", "token", "endpoint", "data", "name"),
    [
        (ClientN15, "tok", "ping", None, "n15_00_REQ"),
        (ClientN15, "tok", "get_action", flat_observation(ZEROS), "n15_02_REQ"),
        (ClientN15, "tok", "get_modality_config", None, "n15_04_REQ"),
        (ClientN15, "tok", "nope", {}, "n15_06_REQ"),
        (ClientN15, "tok", "kill", None, "n15_08_REQ"),
        (ClientN15, None, "ping", None, "n15_badtoken_00_REQ"),
        (ClientN16, None, "ping", None, "n16_00_REQ"),
        (ClientN16, None, "get_action", NESTED, "n16_02_REQ"),
        (ClientN16, None, "reset", {"options": None}, "n16_04_REQ"),
        (ClientN16, None, "get_modality_config", None, "n16_06_REQ"),
        (ClientN16, None, "get_action", {"x": 1}, "n16_10_REQ"),
        (ClientN16, None, "kill", None, "n16_12_REQ"),
        (ClientN17, None, "get_action", NESTED, "n17_02_REQ"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_client_sends_the_captured_bytes(
    made: type[Client], token: str | None, endpoint: str, data: object, name: str
) -> None:
    with made(NOWHERE, token) as client:
        assert client.request(endpoint, data, with_data=data is not None) == GOLDEN[name]


def test_a_client_reads_the_captured_replies() -> None:
    with ClientN15(NOWHERE) as old, ClientN16(NOWHERE) as client, ClientN17(NOWHERE) as newest:
        flat = cast("Actions", old.read(GOLDEN["n15_03_REP"]))
        assert flat["action.single_arm"].shape == (2, 5)
        for reader, name in ((client, "n16_03_REP"), (newest, "n17_03_REP")):
            actions, _ = cast("list[Actions]", reader.read(GOLDEN[name]))
            assert actions["single_arm"].shape == (1, 2, 5)
        with pytest.raises(RuntimeError, match="Unauthorized"):
            old.read(GOLDEN["n15_badtoken_01_REP"])
        with pytest.raises(TypeError):  # what the original's kill ends with
            old.read(GOLDEN["n15_09_REP"])
        assert client.read(GOLDEN["n16_13_REP"]) is None
