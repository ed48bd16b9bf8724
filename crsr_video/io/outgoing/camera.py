"""A virtual camera: v4l2loopback on Linux, OBS elsewhere, through pyvirtualcam."""

import threading
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np

from crsr_video.errors import OutputError
from crsr_video.io import pyav
from crsr_video.io.feed import Feed
from crsr_video.io.outgoing.address import Target
from crsr_video.io.outgoing.encoding_sink import Tell
from crsr_video.io.outgoing.fitting import Fitter, Shape
from crsr_video.io.outgoing.sink import Sink
from crsr_video.io.outgoing.tracks import Tracks
from crsr_video.io.pictures import own_picture
from crsr_video.io.pyav import Passthrough
from crsr_video.types import Frame

_HINT = (
    "Linux needs the v4l2loopback module (modprobe v4l2loopback exclusive_caps=1), "
    "Windows and macOS need OBS with its virtual camera"
)


class CameraSink(Sink):
    """Shows each frame to the programs that use the camera, until the next one comes.

    Pictures are limited-range BT.601 4:2:0, as programs take a camera's to be.
    """

    def __init__(self, target: Target, feed: Feed, rate: Fraction | None, on_event: Tell) -> None:
        """Open the camera in the first frame's size.

        Raises: OutputError: pyvirtualcam or the device is missing, or in use.
        """
        self._feed, self._tell = feed, on_event
        self._guard = threading.Lock()
        self._act = "idle"
        size = max(2, feed.first.width & ~1), max(2, feed.first.height & ~1)
        shape = Shape(*size, "yuv420p", "bt601", False, feed.first.sample_aspect)
        self._fitter = Fitter(shape)
        self._camera: Any = _open(target, size, float(rate or feed.info.rate or 30))
        told = Tracks(feed, "").notices
        if feed.first.rotation:
            told += (
                "a virtual camera does not hold the rotation: pictures are not turned upright",
            )
        self.notices = (f"virtual camera: {self._camera.device}", *told)

    @property
    def state(self) -> str:
        """What it does just now."""
        return self._act

    def push(self, frame: Frame) -> None:
        """Show a frame."""
        with self._guard:
            if self._camera is None:
                raise OutputError("the virtual camera is closed")
            self._act = "writing"
            try:
                self._camera.send(self._pixels(frame))
            except (OSError, RuntimeError, ValueError) as error:
                why = pyav.reason(error)
                raise OutputError(f"the virtual camera takes no more pictures: {why}") from error
            finally:
                self._act = "idle"

    def _pixels(self, frame: Frame) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """I420: uint8 (H * 3 / 2, W), the planes one after the other."""
        picture = own_picture(frame, self._feed.first if self._feed.first.native else None)
        if picture.time_base is None:
            picture.pts, picture.time_base = frame.pts, frame.time_base
        planes = pyav.views(self._fitter.fit(picture, frame.sample_aspect))
        packed = np.concatenate([plane.reshape(-1) for plane in planes])
        return packed.astype(np.uint8, copy=False).reshape(-1, self._fitter.shape.width)

    def push_packet(self, item: Passthrough) -> None:
        """There is no place for it."""

    def change(self, feed: Feed) -> None:
        """Fit pictures into the camera's size, which stays."""
        with self._guard:
            old, new = self._feed.first, feed.first
            self._feed = feed
        if (old.width, old.height) != (new.width, new.height):
            shape = self._fitter.shape
            now, was = f"{new.width}x{new.height}", f"{shape.width}x{shape.height}"
            self._tell(f"the source's pictures are {now} now: they are fitted into {was}")

    def close(self) -> None:
        """Free the camera."""
        with self._guard:
            if self._camera is not None:
                self._camera.close()
                self._camera = None

    abort = close


def _open(target: Target, size: tuple[int, int], rate: float) -> Any:
    library = _library()
    name = target.address or None
    try:
        return library.Camera(
            *size, rate, fmt=library.PixelFormat.I420, device=name, print_fps=False
        )
    except (OSError, RuntimeError, ValueError) as error:
        why = pyav.reason(error)
        raise OutputError(f"{target.name}: no virtual camera ({why}); {_HINT}") from error


def _library() -> ModuleType:
    try:
        import pyvirtualcam
    except ImportError as error:
        what = 'needs pyvirtualcam: pip install "crsr-video[camera]"'
        raise OutputError(f"a virtual camera {what}; {_HINT}") from error
    library: ModuleType = pyvirtualcam
    return library
