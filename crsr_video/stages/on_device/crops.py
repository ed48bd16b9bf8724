"""Crops whose pictures stay on the device, and are made when somebody looks at them."""

import weakref
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.imaging.geometry import Matrix
from crsr_video.stages.on_device.copies import Copies
from crsr_video.types import Crop

Order = TypeVar("Order")


class DeviceCrop(Crop):
    """A face in canonical position, on a device; `image` fetches it.

    Args: picture: float32 (3, S, S), RGB, on the device; None: `make` will `fill` it in.
    """

    __slots__ = ("__weakref__", "_fetched", "_make", "_picture", "_side")
    _fetched: NDArray[np.float32] | None
    _make: Callable[[], None] | None
    _picture: Tensor | None
    _side: int

    def __init__(
        self,
        crop_from_frame: Matrix,
        side: int,
        picture: Tensor | None = None,
        make: Callable[[], None] | None = None,
    ) -> None:
        # As frozen as the dataclass it is: nobody assigns, but what is put off comes later.
        object.__setattr__(self, "crop_from_frame", crop_from_frame)
        object.__setattr__(self, "_side", side)
        object.__setattr__(self, "_make", make)
        object.__setattr__(self, "_fetched", None)
        self.fill(picture)

    def fill(self, picture: Tensor | None) -> None:
        """Put in what was put off."""
        object.__setattr__(self, "_picture", picture)

    @property
    def size(self) -> int:
        """Side in pixels."""
        return self._side

    @property
    def picture(self) -> Tensor:
        """float32 (3, S, S) on the device.

        Raises: RuntimeError: the work that it was part of has failed.
        """
        if self._picture is None and self._make is not None:
            self._make()
        if self._picture is None:
            raise RuntimeError("a crop was not made, since the work on its batch failed")
        return self._picture

    @property
    def image(self) -> NDArray[np.float32]:
        """The same in numpy, fetched once."""
        if self._fetched is None:
            fetched = self.picture.float().cpu().contiguous().numpy()
            object.__setattr__(self, "_fetched", fetched)
        assert self._fetched is not None
        return self._fetched


class Orders(Generic[Order]):
    """Crops that are put off until one of them is looked at, and then made all at once.

    So a stage that takes faces one by one gives the device many of them to work on.
    Args: make: fills all these crops.
    """

    def __init__(self, make: Callable[[list[tuple[DeviceCrop, Order]]], None]) -> None:
        self._make = make
        self._waiting: list[tuple[weakref.ref[DeviceCrop], Order]] = []

    def crop(self, crop_from_frame: Matrix, side: int, order: Order) -> DeviceCrop:
        """One that will be made."""
        crop = DeviceCrop(crop_from_frame, side, make=self._settle)
        self._waiting.append((weakref.ref(crop), order))
        return crop

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        # Whatever nobody holds any more needs no picture.
        wanted = [(crop, order) for ref, order in waiting if (crop := ref()) is not None]
        self._make(wanted)


def picture(crop: Crop, ways: Copies) -> Tensor:
    """A crop's picture on the device, wherever it was."""
    if isinstance(crop, DeviceCrop):
        return crop.picture
    host = ways.blank(crop.image.shape, torch.float32)
    host.numpy()[...] = crop.image
    return ways.up(host)


def pictures(crops: Sequence[Crop], ways: Copies) -> Tensor:
    """Those of crops of one size: (N, 3, S, S)."""
    return torch.stack([picture(crop, ways) for crop in crops])
