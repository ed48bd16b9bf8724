"""Output to a virtual camera through pyvirtualcam: v4l2loopback on Linux, OBS elsewhere."""

from types import ModuleType
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from crsr_video.errors import OutputError
from crsr_video.io import pyav
from crsr_video.io.output_plan import OutputPlan
from crsr_video.io.session import OutputSession
from crsr_video.types import Frame

_HINT = (
    "Linux needs the v4l2loopback module (modprobe v4l2loopback exclusive_caps=1), "
    "Windows and macOS need OBS with its virtual camera"
)


class VirtualCameraSession(OutputSession):
    """Sends frames to a virtual camera, which shows each one until the next one arrives.

    Raises:
        OutputError: pyvirtualcam or the device is missing, or the device is in use.
    """

    def __init__(self, plan: OutputPlan) -> None:
        library = _library()
        size, rate = plan.shape.size, float(plan.timing.rate)
        self._width = plan.shape.width
        try:
            self._camera: Any = library.Camera(
                *size,
                rate,
                fmt=library.PixelFormat.I420,
                device=plan.destination.address or None,
                print_fps=False,
            )
        except (OSError, RuntimeError, ValueError) as error:
            why = pyav.reason(error)
            raise OutputError(f"{plan.name}: no virtual camera ({why}); {_HINT}") from error
        self._device = str(self._camera.device)

    @property
    def notices(self) -> tuple[str, ...]:
        """One line with the name of the camera device."""
        return (f"virtual camera: {self._device}",)

    def push(self, picture: VideoFrame, frame: Frame) -> None:  # noqa: ARG002 - no times
        """Send a picture to the camera."""
        try:
            self._camera.send(self._packed(picture))
        except (OSError, RuntimeError, ValueError) as error:
            why = pyav.reason(error)
            raise OutputError(f"the virtual camera takes no more pictures: {why}") from error

    def _packed(self, picture: VideoFrame) -> NDArray[np.uint8]:
        """Return the planes of a picture one after the other (I420), uint8 (H * 3 / 2, W)."""
        packed = np.concatenate([plane.reshape(-1) for plane in pyav.views(picture)])
        return packed.astype(np.uint8, copy=False).reshape(-1, self._width)

    def finish(self) -> None:
        """Free the camera."""
        self.drop()

    def drop(self) -> None:
        """Free the camera."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()


def _library() -> ModuleType:
    try:
        import pyvirtualcam
    except ImportError as error:
        raise OutputError(
            f'a virtual camera needs pyvirtualcam: pip install "crsr-video[camera]"; {_HINT}'
        ) from error
    library: ModuleType = pyvirtualcam
    return library
