from __future__ import annotations

from edge.rig import OTHER, SERVER
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import Presence
from vagus.transport.link import Delivery, Sample
from vagus.transport.memory import MemoryNetwork


def test_a_client_is_found_at_one_server_at_a_time() -> None:
    network = MemoryNetwork()
    heard: list[Sample] = []
    presence = Presence(network.link(), Identity("arm-1", "1f3a"), heard.append)
    server = network.link()

    def is_found(at: str) -> bool:
        return bool(server.tokens(at, timeout_s=1))

    def hears(key: str) -> bool:
        before = len(heard)
        server.publish(key, header=b"h", payload=b"p", delivery=Delivery.CHUNK)
        return len(heard) > before

    one, two = SERVER.client("arm-1"), OTHER.client("arm-1")
    presence.leave()
    assert presence.server is None
    presence.move_to(SERVER)
    presence.move_to(SERVER)
    assert presence.server == SERVER
    assert is_found(one.alive("1f3a"))
    assert hears(one.chunk)
    assert len(heard) == 1
    presence.move_to(OTHER)
    assert not is_found(one.alive("1f3a"))
    assert not hears(one.chunk)
    assert is_found(two.alive("1f3a"))
    assert hears(two.chunk)
    presence.leave()
    presence.leave()
    assert presence.server is None
    assert not is_found(two.alive("1f3a"))
    assert not hears(two.chunk)
