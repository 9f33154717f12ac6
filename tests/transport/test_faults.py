from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from vagus.errors import ConfigError, LinkError, StateError
from vagus.transport.fault_path import Faults
from vagus.transport.faults import FaultProxy

PATIENCE_S = 5.0
"""Nothing here takes as long; a socket that waits longer fails its test."""

QUIET_S = 0.2
"""Long enough for a byte on loopback to have arrived if anything let it through."""


class Echo:
    """A server that sends back what it gets."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                end, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(end,), daemon=True).start()

    def _serve(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError), end:
            while received := end.recv(1 << 16):
                end.sendall(received)


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    echo = Echo()
    with FaultProxy("127.0.0.1", echo.port) as running:
        yield running
    echo.close()


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE_S)


def receive(end: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = end.recv(size - len(received))
        if not part:
            break
        received += part
    return received


def is_silent(end: socket.socket) -> bool:
    end.settimeout(QUIET_S)
    try:
        return end.recv(1, socket.MSG_PEEK) == b"never"
    except TimeoutError:
        return True
    finally:
        end.settimeout(PATIENCE_S)


def is_broken(end: socket.socket) -> bool:
    try:
        return end.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_good_path_carries_bytes_both_ways_and_in_order(proxy: FaultProxy) -> None:
    sent = bytes(range(256)) * 8192
    with connect(proxy) as end:
        threading.Thread(target=end.sendall, args=(sent,), daemon=True).start()
        assert receive(end, len(sent)) == sent


def test_the_last_bytes_before_a_goodbye_arrive(proxy: FaultProxy) -> None:
    proxy.set(Faults(delay_ms=20))
    with connect(proxy) as end:
        end.sendall(b"last words")
        end.shutdown(socket.SHUT_WR)
        assert receive(end, 100) == b"last words"


def test_delay_is_added_in_each_direction(proxy: FaultProxy) -> None:
    proxy.set(Faults(delay_ms=60))
    with connect(proxy) as end:
        began_s = time.monotonic()
        end.sendall(b"x")
        assert receive(end, 1) == b"x"
    assert time.monotonic() - began_s >= 0.12


def test_delay_does_not_take_throughput_away(proxy: FaultProxy) -> None:
    """Forty messages under way together take one delay; one after the other they would take forty."""
    proxy.set(Faults(delay_ms=100))
    with connect(proxy) as end:
        began_s = time.monotonic()
        for _ in range(40):
            end.sendall(b"x" * 1000)
            time.sleep(0.002)  # separate reads of the proxy
        assert len(receive(end, 40_000)) == 40_000
    assert time.monotonic() - began_s < 2.0  # 40 × 0.1 s if they waited for each other


def test_jitter_keeps_the_order(proxy: FaultProxy) -> None:
    proxy.set(Faults(jitter_ms=20))
    sent = b"".join(i.to_bytes(2, "little") for i in range(200))
    with connect(proxy) as end:
        for i in range(0, len(sent), 8):
            end.sendall(sent[i : i + 8])
            time.sleep(0.001)
        assert receive(end, len(sent)) == sent


def test_a_rare_delay_meets_a_share_of_the_messages(proxy: FaultProxy) -> None:
    proxy.set(Faults(rare_ms=100, rare_share=0.3))
    waits_s = []
    with connect(proxy) as end:
        for number in range(20):
            began_s = time.monotonic()
            end.sendall(bytes([number]))
            assert receive(end, 1) == bytes([number])
            waits_s.append(time.monotonic() - began_s)
    assert min(waits_s) < 0.1 <= max(waits_s)


def test_the_rate_limit_holds(proxy: FaultProxy) -> None:
    proxy.set(Faults(rate_mbit=8))  # 1 MB/s
    sent = bytes(400_000)
    with connect(proxy) as end:
        began_s = time.monotonic()
        threading.Thread(target=end.sendall, args=(sent,), daemon=True).start()
        assert len(receive(end, len(sent))) == len(sent)
    assert time.monotonic() - began_s >= (400_000 - 65_536) / 1e6  # less what the bucket lets through at once


def test_a_rate_limit_pushes_back_on_the_sender(proxy: FaultProxy) -> None:
    proxy.set(Faults(rate_mbit=1))
    with connect(proxy) as end:
        end.settimeout(0.0)
        accepted = 0
        quiet_since_s = time.monotonic()
        while time.monotonic() - quiet_since_s < QUIET_S:
            with contextlib.suppress(BlockingIOError):
                accepted += end.send(bytes(1 << 16))
                quiet_since_s = time.monotonic()
        assert accepted < 64_000_000  # bounded: kernel buffers and the proxy's queue, not all we offer


def test_a_stall_holds_bytes_and_delivers_them_afterwards(proxy: FaultProxy) -> None:
    with connect(proxy) as end:
        end.sendall(b"a")
        assert receive(end, 1) == b"a"
        proxy.set(Faults(stall=True))
        end.sendall(b"b")
        assert is_silent(end)
        with connect(proxy) as late:  # accepted, and held too
            late.sendall(b"c")
            assert is_silent(late)
            proxy.heal()
            assert receive(end, 1) == b"b"
            assert receive(late, 1) == b"c"


def test_a_black_hole_swallows_and_resets_afterwards(proxy: FaultProxy) -> None:
    with connect(proxy) as loser, connect(proxy) as idle:
        for end in (loser, idle):
            end.sendall(b"a")
            assert receive(end, 1) == b"a"
        proxy.set(Faults(black_hole=True))
        loser.sendall(b"b")
        assert is_silent(loser)
        proxy.heal()
        assert is_broken(loser)
        idle.sendall(b"c")
        assert receive(idle, 1) == b"c"


def test_a_cut_resets_refuses_and_heals_on_the_same_port(proxy: FaultProxy) -> None:
    with connect(proxy) as end:
        end.sendall(b"a")
        assert receive(end, 1) == b"a"
        proxy.cut()
        assert is_broken(end)
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        proxy.heal()
        with connect(proxy) as again:
            again.sendall(b"b")
            assert receive(again, 1) == b"b"


def test_a_target_that_is_not_there_resets_the_connection() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # taken, but nobody listens
        with FaultProxy("127.0.0.1", taken.getsockname()[1]) as proxy:
            try:
                with connect(proxy) as end:
                    assert is_broken(end)
            except ConnectionResetError:
                pass  # so soon that connecting notices


def test_faults_can_be_chosen_before_the_start() -> None:
    echo = Echo()
    proxy = FaultProxy("127.0.0.1", echo.port)
    proxy.set(Faults(delay_ms=50))
    assert proxy.faults == Faults(delay_ms=50)
    with proxy, connect(proxy) as end:
        began_s = time.monotonic()
        end.sendall(b"x")
        assert receive(end, 1) == b"x"
        assert time.monotonic() - began_s >= 0.1
        assert proxy.connections == 1
    echo.close()


def test_stopping_ends_connections_and_the_thread_and_may_be_repeated(proxy: FaultProxy) -> None:
    with connect(proxy) as end:
        end.sendall(b"a")
        assert receive(end, 1) == b"a"
        proxy.stop()
        proxy.stop()
        assert is_broken(end)
    assert all(thread.name != "vagus-faults" for thread in threading.enumerate())


def test_starting_twice_is_refused(proxy: FaultProxy) -> None:
    with pytest.raises(StateError, match="runs already"):
        proxy.start()


def test_a_taken_port_is_a_link_error(proxy: FaultProxy) -> None:
    with pytest.raises(LinkError, match="cannot listen"):
        FaultProxy("127.0.0.1", 1, port=proxy.port).start()


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_numbers_that_mean_nothing_are_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="delay_ms"):
        Faults(delay_ms=value)
    with pytest.raises(ConfigError, match="jitter_ms"):
        Faults(jitter_ms=value)
    with pytest.raises(ConfigError, match="rate_mbit"):
        Faults(rate_mbit=value)
    with pytest.raises(ConfigError, match="rare_ms"):
        Faults(rare_ms=value)
    with pytest.raises(ConfigError, match="rare_share"):
        Faults(rare_share=value)


def test_stopping_in_the_moment_of_an_accept_leaves_no_socket_open() -> None:
    """Repeated, because the moment is short; a socket that stays open warns when it is collected."""
    for _ in range(100):
        with FaultProxy("127.0.0.1", 1, faults=Faults(stall=True)) as proxy:
            ends = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(3)]
        for end in ends:
            end.close()
    gc.collect()


def test_stopping_drops_what_a_peer_never_reads(proxy: FaultProxy) -> None:
    end = connect(proxy)
    end.settimeout(0.0)
    with contextlib.suppress(BlockingIOError):
        while True:
            end.send(bytes(1 << 16))
    proxy.stop()
    end.close()
    gc.collect()
