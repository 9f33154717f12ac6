from __future__ import annotations

from pathlib import Path

import pytest

from netlab import lab


@pytest.fixture(scope="session")
def shaper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled network, or a skip that says why there is none."""
    reason = lab.why_not()
    if reason is not None:
        pytest.skip(reason)
    return lab.build(tmp_path_factory.mktemp("netlab"))
