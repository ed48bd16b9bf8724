import math
import struct

import numpy as np
import pytest

from crsr_video.errors import ProtocolError, VersionError
from crsr_video.server import protocol
from crsr_video.server.protocol import (
    Buffer,
    EffectFlag,
    EffectSettings,
    Enhance,
    FrameDone,
    Header,
    Hello,
    MessageKind,
    Refusal,
    TextAnswer,
)

REQUESTS = (
    Hello("melt"),
    Buffer(1920, 1080),
    EffectSettings(
        0.5, 20.0, EffectFlag.DEBUG | EffectFlag.ORDERED, "fast", "/videos/ä t.json", "1,4 2=off"
    ),
    Enhance(1.5),
)
ANSWERS = (
    TextAnswer(MessageKind.WELCOME, "1.0"),
    TextAnswer(MessageKind.OK, ""),
    FrameDone(True, 3, 2, "ü"),
    Refusal(4, "no"),
)


@pytest.mark.parametrize("message", REQUESTS, ids=lambda m: type(m).__name__)
def test_requests_survive_packing(message):
    whole = protocol.pack(MessageKind(message.kind), 9, message.pack())
    header = Header.unpack(whole[:16])
    assert (header.kind, header.sequence, header.length) == (message.kind, 9, len(whole) - 16)
    assert protocol.unpack_request(header.kind, whole[16:]) == message


@pytest.mark.parametrize("message", ANSWERS, ids=lambda m: str(m.kind))
def test_answers_survive_packing(message):
    assert protocol.unpack_answer(message.kind, message.pack()) == message


@pytest.mark.parametrize("message", REQUESTS, ids=lambda m: type(m).__name__)
def test_a_request_of_a_wrong_length_is_refused(message):
    payload = message.pack()
    for size in range(len(payload)):
        with pytest.raises(ProtocolError, match="too short"):
            protocol.unpack_request(message.kind, payload[:size])
    with pytest.raises(ProtocolError, match="1 bytes too many"):
        protocol.unpack_request(message.kind, payload + b"\0")


def test_the_bytes_are_those_of_the_documented_protocol():
    """The bytes are written out by hand here, because the effect in C relies on them."""
    assert protocol.pack(MessageKind.HELLO, 2, Hello("é").pack()) == (
        b"CRSR\x01\x00\x01\x00\x02\x00\x00\x00\x04\x00\x00\x00\x02\x00\xc3\xa9"
    )
    assert EffectSettings(1.0, 16.0, EffectFlag.COMPARE, "a", "", "b").pack() == (
        struct.pack("<dd", 1.0, 16.0) + b"\x01\x00\x00\x00\x01\x00a\x00\x00\x01\x00b"
    )


def test_headers_of_other_protocols_are_refused():
    with pytest.raises(ProtocolError, match="not the protocol"):
        Header.unpack(b"GET / HTTP/1.1\r\n")
    with pytest.raises(VersionError, match="version 2 of the protocol, not 1"):
        Header.unpack(struct.pack("<4sHHII", b"CRSR", 2, 1, 0, 0))
    with pytest.raises(ProtocolError, match="too long"):
        Header.unpack(struct.pack("<4sHHII", b"CRSR", 1, 1, 0, protocol.MAX_PAYLOAD + 1))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (16385, 1), (16384, 4097), (2**32 - 1, 1)])
def test_impossible_frames_are_refused(size):
    with pytest.raises(ProtocolError, match="frame"):
        protocol.unpack_request(MessageKind.BUFFER, struct.pack("<II", *size))


@pytest.mark.parametrize("strength", [-0.1, 1.1, math.nan, math.inf])
def test_impossible_strengths_are_refused(strength):
    payload = struct.pack("<ddI", strength, 16.0, 0) + 3 * protocol.pack_text("")
    with pytest.raises(ProtocolError, match="out of range"):
        protocol.unpack_request(MessageKind.SETTINGS, payload)


def test_unknown_switches_are_refused():
    payload = struct.pack("<ddI", 1.0, 16.0, 16) + 3 * protocol.pack_text("")
    with pytest.raises(ProtocolError, match="switches"):
        protocol.unpack_request(MessageKind.SETTINGS, payload)


@pytest.mark.parametrize(
    "text", [b"\xff", b"a\nb", b"\x7f", b"\0", b"\xed\xa0\x80", b"x" * 4097], ids=repr
)
def test_texts_that_are_not_one_line_are_refused(text):
    with pytest.raises(ProtocolError, match="text"):
        protocol.unpack_request(MessageKind.HELLO, struct.pack("<H", len(text)) + text)


def test_sent_texts_are_one_line_within_the_limit():
    long = "a\nb\x1b" + "ä" * 4000 + "\ud800"
    found = protocol.PayloadReader(protocol.pack_text(long)).text()
    assert found.startswith("a b ää")
    assert len(found.encode()) <= protocol.MAX_TEXT


def test_random_bytes_raise_protocol_errors_only(rng: np.random.Generator):
    for _ in range(3000):
        kind = int(rng.integers(0, 6)) if rng.random() < 0.5 else int(rng.integers(126, 134))
        payload = rng.bytes(int(rng.integers(0, 60)))
        for parse in (protocol.unpack_request, protocol.unpack_answer):
            try:
                parse(kind, payload)
            except ProtocolError as error:
                assert "\n" not in str(error)
