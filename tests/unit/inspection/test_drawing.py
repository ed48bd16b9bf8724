"""Labels on pictures."""

import numpy as np
import pytest

from crsr_video.inspection.drawing import make_label


@pytest.mark.parametrize("size", [(8, 8), (64, 48), (1920, 1080)])
def test_labels_are_even_and_stay_inside(size: tuple[int, int]) -> None:
    width, height = size
    planes = tuple(np.full((height >> s, width >> s), 128, np.uint8) for s in (0, 1, 1))
    words = make_label("before", width, height)
    assert words.text.shape == words.outline.shape
    assert words.width % 2 == 0 and words.text.shape[0] % 2 == 0
    words.draw(planes, 4, 4, 8)
    if width >= 64:
        assert planes[0].min() < 48 and planes[0].max() > 210
        assert words.width < width
