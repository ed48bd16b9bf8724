"""The memory of the super-resolver: what earlier frames of a face knew helps the present one.

Beyond the paper, which knows single pictures. Aligned crops of one track lie on each other but
for fractions of a pixel, and every frame has its own noise and its own blocks; so a few frames
together hold more than any of them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Memory(nn.Module):
    """From the previous frame's features to a hint for the super-resolver's stem.

    The alignment already undoes the motion of the face in its frame, so features of the previous
    crop need no further warp. Seeing both crops, the network can tell where they disagree (a
    blink, a word), and keep silent there; seeing what the consistifier took away, it can bring
    back what the past confirms. Causal: only the past is used.
    Args: channels: of the super-resolver's features at full resolution.
          width: of the layer between.
    """

    def __init__(self, channels: int = 48, width: int = 32) -> None:
        super().__init__()
        self.channels = channels
        self.compare = nn.Conv2d(channels + 9, width, 3, padding=1)
        self.hint = nn.Conv2d(width, channels, 3, padding=1)
        # Silent at first: training begins at what a single frame gives.
        nn.init.zeros_(self.hint.weight)
        nn.init.zeros_(self.hint.bias)  # type: ignore[arg-type]

    def forward(
        self, features: Tensor, previous: Tensor, consistent: Tensor, seen: Tensor
    ) -> Tensor:
        """What to add after the super-resolver's stem.

        Args:    features: of the previous frame (`SuperResolver.features`), (N, C, H, W).
                 previous: its consistent crop, (N, 3, H, W) in [0, 1].
                 consistent: the present one, likewise.
                 seen: the present crop as the frame shows it, before the consistifier.
        Returns: (N, C, H, W).
        """
        crops = [previous - 0.5, consistent - previous, seen - consistent]
        known = torch.cat([features, torch.cat(crops, 1).to(features.dtype)], 1)
        hint: Tensor = self.hint(functional.relu(self.compare(known)))
        return hint
