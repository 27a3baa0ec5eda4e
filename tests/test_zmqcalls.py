"""libzmq called past pyzmq: the same frames arrive either way."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from ringex.jit import compiled
from ringex.memory import address_of
from ringex.zmqcalls import DONTWAIT, SNDMORE, function_address, zmq_recv, zmq_send

PATIENCE_MS = 30_000
SEND, RECV = function_address("zmq_send"), function_address("zmq_recv")


@compiled
def send(function: int, socket: int, address: int, size_bytes: int, flags: int) -> int:
    return zmq_send(function, socket, address, size_bytes, flags)


@compiled
def receive(function: int, socket: int, address: int, size_bytes: int, flags: int) -> int:
    return zmq_recv(function, socket, address, size_bytes, flags)


@pytest.fixture
def pair() -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    context = zmq.Context()
    left, right = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    left.bind("inproc://pair")
    right.connect("inproc://pair")
    right.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
    yield left, right
    context.destroy(linger=0)


def test_what_is_not_there_is_told(pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]) -> None:
    assert function_address("zmq_no_such_function") == 0
    room = np.zeros(8, "u1")
    assert receive(RECV, pair[0].underlying, address_of(room), 8, DONTWAIT) == -errno.EAGAIN
    with zmq.Context() as context, context.socket(zmq.PUSH) as nobody:
        assert send(SEND, nobody.underlying, address_of(room), 8, DONTWAIT) == -errno.EAGAIN


@pytest.mark.parametrize("size", [0, 1, 33, 34, 5000])
def test_frames_pass_both_ways(pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]], size: int) -> None:
    left, right = pair
    frame = np.frombuffer(os.urandom(size + 1), "u1")
    assert send(SEND, left.underlying, address_of(frame), size, SNDMORE) == size
    assert send(SEND, left.underlying, address_of(frame), 1, 0) == 1
    assert right.recv_multipart() == [frame[:size].tobytes(), frame[:1].tobytes()]
    right.send(frame[:size].tobytes())
    room = np.zeros(size + 1, "u1")
    assert receive(RECV, left.underlying, address_of(room), size, 0) == size
    assert room[:size].tobytes() == frame[:size].tobytes()


def test_a_frame_larger_than_the_room_tells_its_size(pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]) -> None:
    left, right = pair
    right.send(b"abcdefgh")
    room = np.zeros(8, "u1")
    assert receive(RECV, left.underlying, address_of(room), 4, 0) == 8
    assert room.tobytes() == b"abcd\0\0\0\0"


def test_waiting_lets_other_threads_run(pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]) -> None:
    left, right = pair
    waiting = threading.Event()

    def later() -> None:
        waiting.wait()
        right.send(b"x")

    thread = threading.Thread(target=later)
    thread.start()
    room = np.zeros(1, "u1")
    waiting.set()
    assert receive(RECV, left.underlying, address_of(room), 1, 0) == 1
    thread.join()
