"""Signatures are exact, survive packing, and damaged ones are refused."""

import base64
import json
import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

from crsr_video.errors import TracksError
from crsr_video.track.tracks_file import read, signatures, write
from tests.support.frames import ALL, LAYOUTS, flat_frame, make_frame
from tests.support.tracks_files import document, recording


@pytest.mark.parametrize("layout", ALL)
def test_a_flat_frame_has_its_luma_in_every_cell(layout):
    grey = LAYOUTS[layout].family == "gray"
    colour = (0.5, 0.5, 0.5) if grey else (0.8, 0.4, 0.2)
    luma = 255 * (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])
    found = signatures.signature_of(flat_frame(layout, 90, 130, colour))
    assert found.shape == (signatures.ROWS, signatures.COLUMNS)
    assert np.abs(found - luma).max() < 1.5


def test_cells_are_means_of_their_part_of_the_frame(rng):
    frame = make_frame("rgb24", 240, 320, rng)
    luma = np.stack(frame.components, -1) @ [0.299, 0.587, 0.114]
    wanted = luma.reshape(signatures.ROWS, 20, signatures.COLUMNS, 20).mean((1, 3))
    assert np.abs(signatures.signature_of(frame) - wanted).max() < 0.3


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_signature_of_a_rotated_video_is_upright(rng, turns):
    upright = make_frame("rgb24", 240, 320, rng)
    coded = tuple(np.ascontiguousarray(np.rot90(p, -turns)) for p in upright.components)
    turned = replace(upright, components=coded, rotation=90 * turns)
    assert np.abs(signatures.signature_of(turned) - signatures.signature_of(upright)).max() < 0.3


def test_the_signature_is_independent_of_the_frame_size(rng):
    frame = make_frame("rgb24", 480, 640, rng)
    half = tuple(cv2.resize(p, (320, 240), interpolation=cv2.INTER_AREA) for p in frame.components)
    small = signatures.signature_of(replace(frame, components=half))
    assert np.abs(small - signatures.signature_of(frame)).max() < 0.3


def test_packed_signatures_are_unpacked(rng):
    made = rng.uniform(0, 255, (5, signatures.ROWS, signatures.COLUMNS)).astype(np.float32)
    packer = signatures.SignaturePacker()
    texts = []
    for picture in made:
        packer.add(picture)
        texts.append(packer.text())  # Reading does not disturb the packing.
    found = signatures.unpack(texts[-1], 5)
    assert np.abs(found - made.reshape(5, -1)).max() <= 0.5 / 16 + 1e-6
    assert np.array_equal(signatures.unpack(texts[1], 2), found[:2])


def packed(data):
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("?", "base64 of a zlib stream"),
        (base64.b64encode(b"no zlib").decode(), "base64 of a zlib stream"),
        (packed(bytes(384 * 3))[:-12], "base64 of a zlib stream|expected 3"),
        (packed(bytes(384 * 2)), "expected 3 of 16x12"),
        (packed(bytes(384 * 4)), "expected 3 of 16x12"),
        (packed(bytes(100 << 20)), "expected 3 of 16x12"),
        ("", "expected 3 of 16x12"),
    ],
    ids=["text", "zlib", "cut", "few", "many", "bomb", "none"],
)
def test_damaged_or_missing_signatures_are_refused(text, message):
    with pytest.raises(TracksError, match=message) as caught:
        signatures.unpack(text, 3)
    assert "\n" not in str(caught.value)


def test_a_file_may_be_without_signatures(tmp_path):
    path = tmp_path / "t.json"
    made = recording()
    write(made, path)
    assert read(path).signatures == made.signatures
    assert signatures.unpack(made.signatures, 4).shape == (4, 192)
    old = document(path)
    del old["pictures"]
    path.write_text(json.dumps(old))
    assert read(path).signatures == ""
    path.write_text(json.dumps(old | {"pictures": 7}))
    with pytest.raises(TracksError, match="pictures: expected text, found 7"):
        read(path)
