"""The super-resolver, which enlarges the small face from the consistifier four times.

All convolutions of the fidelity head run at the resolution of the input. The last one writes the
sixteen sub-pixels of every pixel at once (sub-pixel convolution, Shi et al. 2016).
"""

import copy

from torch import Tensor, nn
from torch.nn import functional

from crsr_video.networks.blocks import Hourglass, TextureHead, begin_at_zero, enlarge


class SuperResolver(nn.Module):
    """Maps a small face to a large one, which is a bicubic enlargement plus a correction.

    A trunk has two heads. The first one is trained for fidelity, and leaves out uncertain detail.
    The second one, called the tail, is trained to add plausible texture to the result of the first.
    """

    factor = 4
    """How many times larger the result is than the input."""

    def __init__(
        self,
        channels: tuple[int, int, int] = (48, 96, 192),
        down: tuple[int, int] = (2, 1),
        middle: int = 4,
        up: tuple[int, int] = (1, 3),
        tail: int = 0,
    ) -> None:
        """Build the network.

        Args:
            channels: See `Hourglass`.
            down: See `Hourglass`.
            middle: See `Hourglass`.
            up: See `Hourglass`.
            tail: Channels of the texture head at twice the resolution, or 0 for no texture head.
        """
        super().__init__()
        self.channels = channels[0]
        self.stem = nn.Conv2d(3, channels[0], 3, padding=1)
        self.trunk = Hourglass(channels, down=down, middle=middle, up=up)
        self.head = nn.Conv2d(channels[0], 3 * self.factor**2, 3, padding=1)
        # The head starts with weights of zero, so training starts from the bicubic enlargement.
        begin_at_zero(self.head)
        self.tail = TextureHead(channels[0], tail) if tail else None
        self.texture = 0.0
        """Share of the texture head's output that is added to the picture, 0 to 1."""
        self.ranges: dict[str, tuple[float, float]] | None = None
        """Ranges of the activations, or None if not measured; see `networks.quantised`."""

    def forward(self, consistent: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1] to (N, 3, 4H, 4W)."""
        return self.draw(consistent, self.features(consistent))

    def features(self, consistent: Tensor) -> Tensor:
        """Return the features of the trunk, (N, C, H, W), for both heads."""
        x = (consistent - 0.5).to(self.stem.weight.dtype)
        features: Tensor = self.trunk(self.stem(x))
        return features

    def draw(self, consistent: Tensor, features: Tensor) -> Tensor:
        """Return the picture (N, 3, 4H, 4W) of a crop from its `features`."""
        detail = functional.pixel_shuffle(self.head(features).float(), self.factor)
        return self.with_texture(enlarge(consistent, self.factor) + detail, features)

    def at_half_size(self) -> "SuperResolver":
        """Return a copy whose results have half the size, and which has no texture head.

        A pixel of its correction is the mean of two by two pixels of this network's correction. It
        serves faces that are hardly enlarged, in which texture would not be seen.
        """
        half = copy.deepcopy(self)
        half.factor, half.tail, half.texture = self.factor // 2, None, 0.0
        # A new layer would draw initial weights, and so change torch's random state.
        half.head.out_channels = 3 * half.factor**2
        for name, mine in self.head.named_parameters():
            # Channels are ordered by colour, row and column of the sub-pixel.
            grid = mine.detach().reshape(3, half.factor, 2, half.factor, 2, *mine.shape[1:])
            setattr(half.head, name, nn.Parameter(grid.mean((2, 4)).flatten(0, 2)))
        return half

    def with_texture(self, picture: Tensor, features: Tensor) -> Tensor:
        """Add the texture head's output, times `texture`, to a picture."""
        if self.tail is None or self.texture == 0:
            return picture
        change: Tensor = self.tail(features)
        return picture + self.texture * change


class Bicubic(nn.Module):
    """A super-resolver that enlarges bicubically, which is the baseline of all comparisons."""

    factor = 4

    def forward(self, consistent: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 3, 4H, 4W)."""
        return enlarge(consistent, self.factor)
