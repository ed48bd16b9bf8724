"""The picture operations of which stages are composed.

A stage states its formula once, over these operations and ordinary arithmetic (`+`, `*`, `abs`,
`clip`), and gets its `Operations` in its constructor. `numpy_operations` computes with NumPy and
OpenCV on the processor; `torch_operations` computes many faces at once on a device. A parity test
checks that both agree.

"Pictures" are float32 arrays (N, C, H, W) of the implementation's own kind: NumPy arrays or torch
tensors. Pictures of different sizes may share one batch: each fills the top left corner of its
(H, W), and `sizes` then holds the width and height of every picture.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import Matrix
from crsr_video.types import Frame, Plane

Pictures = Any
"""float32 (N, C, H, W), a NumPy array or a torch tensor."""

Kernel = Literal["cubic", "linear", "area"]
"""Interpolation when resizing: Keys' cubic kernel with a = -3/4, linear, or the mean of an area."""

Size = tuple[int, int]
"""Width and height."""

SampleRequest = tuple[Frame, Matrix, int]
"""A frame, the 2x3 transform from the frame to a square crop, and the side of that crop."""


class Operations(ABC):
    """Operations on pictures in the memory of the processor or of one device."""

    joins_faces: bool
    """Whether several faces are computed at once. Otherwise every batch holds one face."""

    @abstractmethod
    def batches(self, kinds: Sequence[Hashable], sides: Sequence[int]) -> list[list[int]]:
        """Group the indices of pictures that are to be computed together.

        Args:
            kinds: One key for each picture. All pictures of a batch have equal keys.
            sides: The longest side of each picture in pixels. Memory limits how many large
                pictures share a batch.
        """

    @abstractmethod
    def stack(self, pictures: Sequence[Any]) -> Pictures:
        """Join pictures (C, H, W) of one size, wherever they are stored, into one batch."""

    @abstractmethod
    def as_floats(self, values: Any) -> Any:
        """Return nested lists of numbers, or an array, as float32 in the memory of the pictures."""

    @abstractmethod
    def constant(self, make: Callable[..., NDArray[np.float32]], *arguments: Hashable) -> Any:
        """Return the result of a pure function, perhaps cached, in the memory of the pictures."""

    @abstractmethod
    def fetch(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Bring K arrays of N numbers each to the processor as one array (N, K)."""

    @abstractmethod
    def to_tensor(self, pictures: Pictures) -> Any:
        """Return pictures as a torch tensor, for a network."""

    @abstractmethod
    def from_tensor(self, tensor: Any) -> Pictures:
        """Return the output of a network as pictures."""

    @abstractmethod
    def exponential(self, pictures: Pictures) -> Pictures:
        """Return e to the power of each sample."""

    @abstractmethod
    def largest_channel(self, pictures: Pictures) -> Pictures:
        """Return the largest value over the channels, (N, 1, H, W)."""

    @abstractmethod
    def luma(self, pictures: Pictures) -> Pictures:
        """Return the BT.601 luma of RGB pictures, (N, 1, H, W)."""

    @abstractmethod
    def mix_channels(self, pictures: Pictures, matrix: NDArray[np.float32]) -> Pictures:
        """Return the channels of every pixel multiplied by a matrix (M, C): (N, M, H, W)."""

    @abstractmethod
    def subtract_into(self, pictures: Pictures, others: Pictures) -> Pictures:
        """Return `pictures` minus `others`; the result may overwrite `others`."""

    @abstractmethod
    def add_product(self, total: Pictures, pictures: Pictures, weights: Pictures) -> Pictures:
        """Return `total` plus `pictures` times `weights`; the result may overwrite `total`."""

    @abstractmethod
    def add_scaled(
        self, pictures: Pictures, factors: Sequence[float], others: Pictures
    ) -> Pictures:
        """Return `pictures` plus `others`, each of which is multiplied by its factor."""

    @abstractmethod
    def sums(self, pictures: Pictures) -> Any:
        """Return the sum over all samples of each picture; N numbers."""

    @abstractmethod
    def medians(self, pictures: Pictures, places: Any) -> Any:
        """Return the median of some samples of each one-channel picture; N numbers.

        Args:
            pictures: (N, 1, H, W).
            places: Indices of the samples, counted row by row, as returned by `constant`.
        """

    @abstractmethod
    def resize(self, pictures: Pictures, side: int, kernel: Kernel) -> Pictures:
        """Resize square pictures to `side` pixels; the edges of both coincide."""

    @abstractmethod
    def box_blur(self, pictures: Pictures) -> Pictures:
        """Return the mean of 3x3 pixels; borders are replicated."""

    @abstractmethod
    def gaussian_blur(self, pictures: Pictures, deviation: float) -> Pictures:
        """Blur with a Gaussian; borders are mirrored without repeating the edge."""

    @abstractmethod
    def filter(self, pictures: Pictures, kernel: NDArray[np.float32]) -> Pictures:
        """Correlate rows and columns with a short kernel; borders are replicated."""

    @abstractmethod
    def sample(self, requests: Sequence[SampleRequest]) -> list[Any]:
        """Cut square RGB crops out of frames, antialiased where they shrink.

        Returns:
            One float32 (3, side, side) picture in [0, 1] for each request.
        """

    @abstractmethod
    def warp(
        self, layers: Sequence[Pictures], transforms: Sequence[Matrix], sizes: Sequence[Size]
    ) -> list[Pictures]:
        """Resample layers of one grid, with antialiasing where they shrink; edges are replicated.

        Args:
            layers: Arrays (N, C, H, W), each with any number of channels C.
            transforms: One 2x3 transform from the layers to the target for each of the N pictures.
            sizes: Width and height of each target.

        Returns:
            The layers on their targets' grids, padded to the largest target.
        """

    @abstractmethod
    def flows(self, pictures: Pictures, others: Pictures) -> tuple[Pictures, Pictures]:
        """Return the optical flow from pictures to others, and the reverse; see `flow.flows`.

        The search runs on the processor, wherever the pictures are.
        """

    @abstractmethod
    def displace(self, pictures: Pictures, flow: Pictures) -> Pictures:
        """Sample pictures linearly at displaced positions; edges are replicated.

        Args:
            pictures: (N, C, S, S).
            flow: Displacements x and y as fractions of the picture's side, (N, 2, S, S).
        """

    @abstractmethod
    def mean_displaced(
        self,
        pictures: Pictures,
        others: Sequence[Pictures],
        flows: Sequence[Pictures],
        weights: Sequence[Pictures],
    ) -> Pictures:
        """Return the weighted mean of pictures and of others, which are displaced as in `displace`.

        Args:
            pictures: (N, 3, S, S), with the weight 1.
            others: Further pictures of the same shape.
            flows: For each of these, its displacements at any resolution, (N, 2, s, s).
            weights: For each of these, its weights at any resolution, (N, 1, s, s).
        """

    @abstractmethod
    def planes(self, planes: Sequence[Sequence[Plane]]) -> Pictures:
        """Return integer planes as float32 code values; planes of a picture have one size."""

    @abstractmethod
    def add_to_planes(
        self, planes: Sequence[Sequence[Plane]], before: Pictures, change: Pictures, bits: int
    ) -> Callable[[], None]:
        """Add a change to integer planes, rounded once and clipped to `bits`.

        Args:
            planes: Views that are written to, one list for each picture.
            before: What `Operations.planes` returned for them.
            change: The change in code values, of the same shape.
            bits: Depth of the planes.

        Returns:
            A function that must be called last. The planes hold the sum once it has returned.
        """

    @abstractmethod
    def low_pass(
        self, pictures: Pictures, scales: Sequence[float], sizes: Sequence[Size]
    ) -> Pictures:
        """Limit each picture to the frequencies that a picture `1 / scale` as large can hold.

        A picture whose scale is at most 1 stays as it is.
        """

    @abstractmethod
    def cell_means(
        self, pictures: Pictures, sizes: Sequence[Size], counts: Sequence[Size]
    ) -> Pictures:
        """Return the mean of each cell of a coarse grid, blurred by one cell.

        Args:
            pictures: (N, 1, H, W).
            sizes: Width and height of each picture.
            counts: Columns and rows of cells of each picture.
        """

    @abstractmethod
    def enlarge_cells(
        self, cells: Pictures, counts: Sequence[Size], sizes: Sequence[Size]
    ) -> Pictures:
        """Interpolate a coarse grid linearly to pictures of the given sizes."""
