"""One message of every kind with no field at its default, and one with nothing but what is required."""

from __future__ import annotations

import msgspec

from vagus.wire.schema import (
    Ack,
    Capabilities,
    ChunkMessage,
    CloseMessage,
    DepthMessage,
    EventMessage,
    Header,
    ImageMessage,
    Kind,
    LatencyRow,
    Load,
    ObservationMessage,
    OpenMessage,
    ResetAck,
    ResetMessage,
    SessionRequest,
    TensorMessage,
    WireAction,
    WireCamera,
    WireDepthCamera,
    WireRtc,
    WireState,
)

__all__ = ["SAMPLES"]

_VECTOR = TensorMessage("<f4", (2,), memoryview(b"\x00\x00\x80\x3f\x00\x00\x00\xc0"))
_ROWS = TensorMessage("<f4", (1, 2), memoryview(b"\x00\x00\x80\x3f\x00\x00\x00\xc0"))
_CLOUD = TensorMessage("<f4", (1, 3), memoryview(bytes(range(12))))
_IMAGE = ImageMessage("raw", 1, 2, memoryview(b"\x01\x02\x03\x04\x05\x06"))
_DEPTH = DepthMessage("raw", 1, 2, memoryview(b"\x2c\x03\x00\x00"))
_LOAD = Load(
    sessions=1, max_sessions=8, waiting=2, busy=0.5, demand=0.75, starved_share=0.02, age_p99_ms=640.0
)
_ACTION = WireAction(name="shoulder.pos", unit="rad", kind="velocity", encoding="signed inverted")
_MINIMAL_ACTION = WireAction(name="shoulder.pos", unit="rad", kind="velocity")
_STATE = WireState(name="shoulder.pos", unit="rad")
_CAMERA = WireCamera(name="front", height=480, width=640, is_required=False)
_DEPTH_CAMERA = WireDepthCamera(
    name="front_depth", height=480, width=640, units_per_m=10_000.0, is_required=False
)
_RTC = WireRtc(prefix_horizon=10, schedule="linear", max_guidance=4.0)
_LATENCY = LatencyRow(batch_size=4, p50_ms=20.5, max_ms=31.25)

_OPEN = OpenMessage(
    instance="1f3a",
    robot_type="sim",
    policy_type="reach",
    actions=(_ACTION,),
    state=(_STATE,),
    cameras=(_CAMERA,),
    depth_cameras=(_DEPTH_CAMERA,),
    rate_hz=30.0,
    wants_rtc=True,
    instruction="reach the red ball",
    tags={"lab": "one"},
    model_hash="abc123",
    host_id="host",
    buffer_time_s=0.5,
    max_action_age_s=3.0,
    execute_horizon=8,
    observe_steps=2,
    round_trip_ms=1.5,
    can_move=True,
    trust_units=True,
    vouched=("a.pos: no velocity limit",),
    schema_min=2,
    schema_max=3,
)
_CAPABILITIES = Capabilities(
    server="gpu-1-77aa",
    model="reach",
    revision="main",
    service_name="lab",
    model_hash="abc123",
    policy_type="reach",
    actions=(_ACTION,),
    state=(_STATE,),
    cameras=(_CAMERA,),
    depth_cameras=(_DEPTH_CAMERA,),
    horizon=50,
    model_dim=6,
    rate_hz=30.0,
    rtc=_RTC,
    default_instruction="reach the red ball",
    serving_mode="exclusive",
    phase="draining",
    failing="RuntimeError: CUDA error",
    serving_reason="it keeps state",
    load=_LOAD,
    latency=(_LATENCY,),
    decode_per_s=480.0,
    continues_awaited=True,
    host_id="host",
    max_image_pixels=2_000_000,
    schema_min=2,
    schema_max=3,
    vagus_version="0.1.0",
)

SAMPLES: dict[str, msgspec.Struct] = {
    "header_observation": Header(Kind.OBSERVATION, 1, 2, 3, 4),
    "header_chunk": Header(Kind.CHUNK, 2**64 - 1, 2**32 - 1, -(2**63), 2**32 - 1),
    "header_event": Header(Kind.EVENT, 0, 0, 0, 0xDEADBEEF),
    "tensor": _ROWS,
    "image": _IMAGE,
    "depth": _DEPTH,
    "load": _LOAD,
    "action": _ACTION,
    "state": _STATE,
    "camera": _CAMERA,
    "depth_camera": _DEPTH_CAMERA,
    "rtc": _RTC,
    "latency_row": _LATENCY,
    "observation": ObservationMessage(
        state=_VECTOR,
        images={"front": _IMAGE},
        depth={"front_depth": _DEPTH},
        points=_CLOUD,
        instruction="reach the red ball",
        step=120,
        episode_start=True,
        inference_delay=4,
        prefix_horizon=10,
        prefix_model=_ROWS,
        prefix_robot=_ROWS,
        seed=2**64 - 1,
        slack_ms=250.5,
        network_ms=12.5,
        played_steps=9,
        starved_steps=2,
        oldest_age_ms=480.5,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        awaited=(118, 119),
    ),
    "chunk": ChunkMessage(
        step=120,
        chunk_model=_ROWS,
        chunk_robot=_ROWS,
        valid_len=1,
        queue_wait_ms=1.5,
        decode_ms=2.5,
        inference_ms=33.25,
        batch_size=4,
        superseded=1,
        min_interval_ms=300.0,
        load=_LOAD,
    ),
    "event": EventMessage(
        code="overloaded", message="64 sessions are waiting", seq=7, target="gpu-2-9f3c", pause_ms=250.0
    ),
    "open": _OPEN,
    "session_open": SessionRequest(open=_OPEN),
    "session_close": SessionRequest(close=CloseMessage(epoch=0xDEADBEEF)),
    "close": CloseMessage(epoch=0xDEADBEEF),
    "capabilities": _CAPABILITIES,
    "ack": Ack(
        accepted=True,
        code="draining",
        error="going away",
        warnings=("rate is 30 Hz, trained at 15 Hz",),
        session_id="s-1",
        epoch=0xDEADBEEF,
        image_codec="raw",
        execute_horizon=12,
        capabilities=_CAPABILITIES,
    ),
    "reset": ResetMessage(epoch=0xDEADBEEF, episode=3),
    "reset_ack": ResetAck(applied=True, code="unknown_session", error="no such session"),
    "minimal_observation": ObservationMessage(state=_VECTOR),
    "minimal_chunk": ChunkMessage(step=0, chunk_model=_ROWS, chunk_robot=_ROWS, valid_len=1),
    "minimal_event": EventMessage(code="overloaded"),
    "minimal_open": OpenMessage(instance="1f3a", robot_type="sim"),
    "minimal_capabilities": Capabilities(
        server="gpu-1-77aa",
        model="reach",
        revision="main",
        model_hash="abc123",
        policy_type="reach",
        actions=(_MINIMAL_ACTION,),
        state=(_STATE,),
        horizon=50,
        model_dim=6,
        rate_hz=30.0,
    ),
    "minimal_ack": Ack(accepted=False),
    "minimal_reset_ack": ResetAck(applied=False),
    "minimal_session": SessionRequest(),
    "minimal_action": WireAction(name="shoulder.pos"),
    "minimal_state": WireState(name="shoulder.pos"),
    "minimal_camera": WireCamera(name="front", height=480, width=640),
    "minimal_depth_camera": WireDepthCamera(name="front_depth", height=480, width=640, units_per_m=1000.0),
    "minimal_rtc": WireRtc(prefix_horizon=10),
    "minimal_load": Load(),
}
