"""The nodes for ComfyUI, called as ComfyUI calls them."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch

import crsr_video
from plugins.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from tests.support.paths import PORTRAIT
from tests.support.video import remux


def batch(frames: int = 3) -> torch.Tensor:
    with av.open(str(PORTRAIT)) as file:
        pictures = [
            f.to_ndarray(format="rgb24")
            for f, _ in zip(file.decode(video=0), range(frames), strict=False)
        ]
    return torch.from_numpy(np.stack(pictures)).to(torch.float32) / 255 + 1e-4


def call(name: str, **inputs: object) -> object:
    node = NODE_CLASS_MAPPINGS[name]
    described = node.INPUT_TYPES()
    defaults = {
        key: kind[1]["default"]
        for group in described.values()
        for key, kind in group.items()
        if len(kind) > 1
    }
    (result,) = getattr(node(), node.FUNCTION)(**{**defaults, **inputs})
    return result


def test_every_node_has_a_title_and_describes_its_inputs() -> None:
    assert NODE_CLASS_MAPPINGS.keys() == NODE_DISPLAY_NAME_MAPPINGS.keys()
    for node in NODE_CLASS_MAPPINGS.values():
        assert set(node.INPUT_TYPES()) == {"required", "optional"}
        assert hasattr(node, node.FUNCTION)


@pytest.mark.parametrize("batch_is", ["video", "separate images"])
def test_a_face_changes_and_other_pixels_keep_their_exact_values(batch_is: str) -> None:
    images = batch()
    result = call("CrsrEnhanceFaces", images=images, batch_is=batch_is)
    assert isinstance(result, torch.Tensor)
    assert result.shape == images.shape
    changed = (result != images).any(-1)
    assert 0.001 < changed.float().mean() < 0.2
    assert torch.equal(result[:, :20], images[:, :20])


def test_alpha_is_dropped_and_the_scale_is_applied() -> None:
    images = torch.full((1, 32, 48, 4), 0.5)
    result = call("CrsrEnhanceFaces", images=images, scale="2")
    assert isinstance(result, torch.Tensor)
    assert result.shape == (1, 64, 96, 3)


def test_people_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(crsr_video.CrsrError, match="such as 1,4, not 'Anna'"):
        call("CrsrEnhanceFaces", images=batch(1), people="Anna")


def test_a_video_file_is_enhanced(tmp_path: Path) -> None:
    output = tmp_path / "result.mp4"
    path = tmp_path / "short.mp4"
    remux(PORTRAIT, path, "mp4", 0.2)
    assert call("CrsrEnhanceVideoFile", path=str(path), output=str(output)) == str(output)
    assert output.exists()
