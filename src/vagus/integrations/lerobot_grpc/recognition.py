"""Recognition of LeRobot's gRPC server, by a call that it must refuse before it does anything (pure).

Its four calls all change something: Ready forgets everybody's queue, SendPolicyInstructions loads a model,
GetActions takes actions away. So one is made with bytes that are no message of gRPC: who has the method says
that it cannot read them, who does not have it says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vagus.gateways.recognition.findings import Answer, Carrier, Check, Recognised, Recogniser
from vagus.quoting import quoted

__all__ = ["RECOGNISERS"]

_UNREADABLE: Final = b"\x0a\xff"
"""A field that ends after the message: no reader takes it, and nobody can load a model from it."""
_REFUSED: Final = (2, 3, 13)
"""UNKNOWN (a method that failed), INVALID_ARGUMENT (a gateway of vagus) and INTERNAL (gRPC for Python)."""
_GENERATIONS: Final = {
    "transport.AsyncInference": "transport (July 2025 and later)",
    "async_inference.AsyncInference": "async_inference (before July 2025)",
}


def _recogniser(service: str, version: str) -> Recogniser:
    method = f"/{service}/SendPolicyInstructions"

    def judge(answers: Mapping[str, Answer]) -> Recognised | None:
        answer = answers[method]
        if answer.status not in _REFUSED:
            return None
        seen = f"it has {method} and does not read what is no message: {quoted(answer.kind, 120)}"
        untried = "not tried: each of its four calls changes what robots get"
        return Recognised("LeRobot gRPC", version, seen, (Check("calls and pickles", None, untried),))

    return Recogniser(Carrier.GRPC, {method: _UNREADABLE}, judge)


RECOGNISERS: Final = tuple(_recogniser(service, version) for service, version in _GENERATIONS.items())
