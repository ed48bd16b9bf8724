"""Tiny pictures: small, exact, and nothing wrong gets in."""

import base64
import json
import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

from crsr_video.errors import TracksError
from crsr_video.track.tracks_file import pictures, read, write
from tests.support.frames import ALL, LAYOUTS, flat_frame, make_frame
from tests.support.tracks_files import document, recording


@pytest.mark.parametrize("layout", ALL)
def test_a_flat_frame_has_its_luma_in_every_cell(layout):
    grey = LAYOUTS[layout].family == "gray"
    colour = (0.5, 0.5, 0.5) if grey else (0.8, 0.4, 0.2)
    luma = 255 * (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])
    found = pictures.tiny(flat_frame(layout, 90, 130, colour))
    assert found.shape == (pictures.ROWS, pictures.COLUMNS)
    assert np.abs(found - luma).max() < 1.5


def test_cells_are_means_of_their_part(rng):
    frame = make_frame("rgb24", 240, 320, rng)
    luma = np.stack(frame.components, -1) @ [0.299, 0.587, 0.114]
    wanted = luma.reshape(pictures.ROWS, 20, pictures.COLUMNS, 20).mean((1, 3))
    assert np.abs(pictures.tiny(frame) - wanted).max() < 0.3


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_video_is_seen_upright(rng, turns):
    upright = make_frame("rgb24", 240, 320, rng)
    coded = tuple(np.ascontiguousarray(np.rot90(p, -turns)) for p in upright.components)
    turned = replace(upright, components=coded, rotation=90 * turns)
    assert np.abs(pictures.tiny(turned) - pictures.tiny(upright)).max() < 0.3


def test_the_size_of_the_frame_does_not_matter(rng):
    frame = make_frame("rgb24", 480, 640, rng)
    half = tuple(cv2.resize(p, (320, 240), interpolation=cv2.INTER_AREA) for p in frame.components)
    small = pictures.tiny(replace(frame, components=half))
    assert np.abs(small - pictures.tiny(frame)).max() < 0.3


def test_what_is_packed_is_unpacked(rng):
    made = rng.uniform(0, 255, (5, pictures.ROWS, pictures.COLUMNS)).astype(np.float32)
    packer = pictures.Packer()
    texts = []
    for picture in made:
        packer.add(picture)
        texts.append(packer.text())  # asking does not disturb
    found = pictures.unpack(texts[-1], 5)
    assert np.abs(found - made.reshape(5, -1)).max() <= 0.5 / 16 + 1e-6
    assert np.array_equal(pictures.unpack(texts[1], 2), found[:2])


def packed(data):
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    ("text", "told"),
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
def test_what_is_not_that_many_pictures_is_refused(text, told):
    with pytest.raises(TracksError, match=told) as caught:
        pictures.unpack(text, 3)
    assert "\n" not in str(caught.value)


def test_a_file_has_them_and_need_not(tmp_path):
    path = tmp_path / "t.json"
    made = recording()
    write(made, path)
    assert read(path).pictures == made.pictures
    assert pictures.unpack(made.pictures, 4).shape == (4, 192)
    old = document(path)
    del old["pictures"]
    path.write_text(json.dumps(old))
    assert read(path).pictures == ""
    path.write_text(json.dumps(old | {"pictures": 7}))
    with pytest.raises(TracksError, match="pictures: expected text, found 7"):
        read(path)
