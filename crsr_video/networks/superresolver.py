"""The super-resolver: a consistent small face in, four times its size out.

The SR of CR. All convolutions run at the input's resolution; the last one writes the sixteen
sub-pixels of every pixel at once (sub-pixel convolution, Shi et al. 2016).
"""

from torch import Tensor, nn
from torch.nn import functional

from crsr_video.networks.blocks import Hourglass, Tail, enlarge


class SuperResolver(nn.Module):
    """LR to HR, four times larger: a correction on top of bicubic enlargement.

    Two heads stand on one trunk. One is trained for fidelity and leaves out what is uncertain; the
    other, the tail, is trained to add believable texture to the first one's picture.
    """

    factor = 4

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
            channels: As of `Hourglass`.
            down: As of `Hourglass`.
            middle: As of `Hourglass`.
            up: As of `Hourglass`.
            tail: Channels of the texture head at twice the resolution;.
            0: It has none.
        """
        super().__init__()
        self.channels = channels[0]
        self.stem = nn.Conv2d(3, channels[0], 3, padding=1)
        self.trunk = Hourglass(channels, down=down, middle=middle, up=up)
        self.head = nn.Conv2d(channels[0], 3 * self.factor**2, 3, padding=1)
        # Zero at first: training begins at bicubic, not at noise.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        self.tail = Tail(channels[0], tail) if tail else None
        self.texture = 0.0
        """How much of the texture head is added to the picture, 0 to 1."""
        self.ranges: dict[str, tuple[float, float]] | None = None
        """Ranges of its activations, if they were measured; see `networks.quantised`."""

    def forward(self, consistent: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] to (N, 3, 4H, 4W)."""
        return self.draw(consistent, self.features(consistent))

    def features(self, consistent: Tensor) -> Tensor:
        """The trunk's features, from which both heads draw; (N, 3, H, W) to (N, C, H, W)."""
        x = (consistent - 0.5).to(self.stem.weight.dtype)
        features: Tensor = self.trunk(self.stem(x))
        return features

    def draw(self, consistent: Tensor, features: Tensor) -> Tensor:
        """The picture that follows from `features` of the same crop; (N, 3, 4H, 4W)."""
        detail = functional.pixel_shuffle(self.head(features).float(), self.factor)
        return self.with_texture(enlarge(consistent, self.factor) + detail, features)

    def with_texture(self, picture: Tensor, features: Tensor) -> Tensor:
        """A picture with so much of the texture head's output added as `texture` says."""
        if self.tail is None or self.texture == 0:
            return picture
        change: Tensor = self.tail(features)
        return picture + self.texture * change
