"""Scales 2 and 4: nothing moves, and transparency and side data of the frames are kept."""

from pathlib import Path

import numpy as np
import pytest

from crsr_video.imaging.geometry import apply, canonical_landmarks
from crsr_video.imaging.masks import mask, possibly_changed
from crsr_video.imaging.upscaling import enlarge, enlarge_plane
from crsr_video.io import pyav
from tests.contract.harness import FFV1, SIZE, enhance, identity
from tests.support.frames import make_face
from tests.support.video import make_video


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuva420p", "gray"])
def test_pixels_outside_the_masks_are_only_enlarged(tmp_path: Path, name: str, scale: int) -> None:
    source = make_video(tmp_path / "a.nut", codec="ffv1", pix_fmt=name, size=SIZE, frames=2)
    run = enhance(source, tmp_path / "b.nut", FFV1, scale=scale)
    for old, done, new in zip(run.before, run.finished, run.after, strict=True):
        large = enlarge(old, scale)
        where = possibly_changed(done)
        assert new.layout == old.layout
        assert where.shape == (80 * scale, 96 * scale)
        assert np.array_equal(large.components[0][~where], new.components[0][~where])
        assert (large.components[0][mask(done) > 0.9] != new.components[0][mask(done) > 0.9]).any()
        if name == "yuva420p":
            small, alpha = (pyav.views(f.native, alpha=True)[-1] for f in (old, new))
            assert np.array_equal(alpha, enlarge_plane(np.ascontiguousarray(small), scale))


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_masks_cover_the_enlarged_face(tmp_path: Path, scale: int) -> None:
    """Pixel x of the source lies at (x + 0.5) * scale - 0.5, so half-pixel errors would show."""
    face = make_face(49.3, 38.8, 40, 11)
    source = make_video(tmp_path / "a.nut", codec="ffv1", size=SIZE, frames=1)
    run = enhance(source, tmp_path / "b.nut", FFV1, scale=scale, faces=(face,))
    (patch,) = run.finished[0].changed
    found = apply(patch.crop_from_frame, (face.landmarks + 0.5) * scale - 0.5)
    assert found == pytest.approx((canonical_landmarks(1000) + 0.5) / 1000, abs=1e-6)
    x0, y0, x1, y1 = patch.box
    outside = np.ones((80 * scale, 96 * scale), bool)
    outside[y0:y1, x0:x1] = False
    assert not possibly_changed(run.finished[0])[outside].any()


@pytest.mark.parametrize("scale", [2, 4])
def test_faces_have_the_networks_full_resolution(tmp_path: Path, scale: int) -> None:
    """The pasted crop is at least as large as its place in the frame."""
    source = make_video(tmp_path / "a.nut", codec="ffv1", size=SIZE, frames=1)
    run = enhance(source, tmp_path / "b.nut", FFV1, scale=scale, faces=(make_face(48, 40, 32),))
    (patch,) = run.finished[0].changed
    place = 1 / np.sqrt(np.linalg.det(patch.crop_from_frame[:, :2]))
    assert patch.size >= min(128, 0.99 * place)


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "rgb24"])
def test_an_identity_network_only_enlarges(tmp_path: Path, name: str) -> None:
    codec = "rawvideo" if name == "rgb24" else "ffv1"
    source = make_video(tmp_path / "a.nut", codec=codec, pix_fmt=name, size=SIZE, frames=1)
    face = make_face(48, 40, 32)  # The crop holds the same pixels.
    settings = FFV1 if codec == "ffv1" else None
    run = enhance(source, tmp_path / "b.nut", settings, scale=2, faces=(face,), network=identity)
    large = enlarge(run.before[0], 2)
    top = (1 << run.before[0].layout.bits) - 1
    for a, b in zip(large.components, run.after[0].components, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 0.01 * top
