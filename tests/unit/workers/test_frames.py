"""Frames: any bytes, cut anywhere, come out as they went in."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.frames import HEADER, MAX_FRAME_BYTES, FrameDecoder, FrameError, frame, json_frame, read_frame


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(min_value=1, max_value=50), min_size=1))
def test_frames_survive_any_cutting_of_the_byte_stream(payloads: list[bytes], cuts: list[int]) -> None:
    stream, decoder = b"".join(map(frame, payloads)), FrameDecoder()
    decoded: list[bytes] = []
    position, turn = 0, 0
    while position < len(stream):
        size = cuts[turn % len(cuts)]
        decoded += decoder.feed(stream[position : position + size])
        position, turn = position + size, turn + 1
    assert payloads == decoded


def test_reading_one_frame_leaves_the_next_one_for_another_reader() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(json_frame({"a": 1}) + b"rest")
        assert read_frame(ours) == b'{"a":1}'
        assert ours.recv(100) == b"rest"


def test_the_end_between_frames_is_no_error_and_inside_one_it_is() -> None:
    for sent in (b"", b"\0\0", frame(b"whole")[:-1]):
        ours, theirs = socket.socketpair()
        with ours:
            theirs.sendall(sent)
            theirs.close()
            if sent:
                with pytest.raises(FrameError, match="hung up"):
                    read_frame(ours)
            else:
                assert read_frame(ours) is None


def test_a_length_over_the_limit_is_refused_before_anything_is_kept() -> None:
    header = struct.pack(">I", MAX_FRAME_BYTES + 1)
    with pytest.raises(FrameError, match="over the limit"):
        list(FrameDecoder().feed(header))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(header)
        with pytest.raises(FrameError, match="over the limit"):
            read_frame(ours)


def test_a_payload_over_the_limit_is_not_sent() -> None:
    with pytest.raises(FrameError, match="put large data in a file"):
        frame(bytes(MAX_FRAME_BYTES + 1))


def test_the_length_is_four_bytes_big_endian() -> None:
    assert frame(b"abc") == b"\0\0\0\x03abc"
    assert HEADER.size == 4
