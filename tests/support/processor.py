"""Marks of tests that need abilities of the processor."""

import pytest
import torch

from crsr_video.networks import onednn

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN"
)
needs_vnni = pytest.mark.skipif(
    not onednn.has_vnni(), reason="this processor cannot multiply bytes by itself"
)
