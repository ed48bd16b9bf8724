"""The networks that measure results: ST-LPIPS, face recognition, and the face models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from crsr_video.closing import Closing
from crsr_video.errors import CrsrError, FaceModelError
from crsr_video.evaluation.metrics import CANONICAL
from crsr_video.imaging.geometry import Points
from crsr_video.imaging.tensor_chips import chips
from crsr_video.io.pictures import from_rgb
from crsr_video.networks.blocks import use_channels_last
from crsr_video.stopwatch import Stopwatch
from crsr_video.track import face_models
from crsr_video.track.detection import Detector, DetectorRun
from crsr_video.track.landmarks import LandmarkModel
from crsr_video.track.regions import Region, square
from crsr_video.training.genuine import Framing
from crsr_video.types import Frame
from crsr_video.weights.packages import load_recognition, package_file, read_state

_SLICES = (2, 2, 3, 3, 3)
"""Convolutions before each feature map; a pooling layer stands between two slices."""


class STLPIPS(nn.Module):
    """Distance of two pictures, which is 0 for equal ones."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        """Build the network from the weights in the file of the package."""
        super().__init__()
        kernels = [name for name in weights if name.startswith("net.") and name.endswith(".weight")]
        self.convolutions = nn.ModuleList(_convolution(weights, name) for name in kernels)
        if len(self.convolutions) != sum(_SLICES):
            raise ValueError("these are not the weights of the VGG network")
        blurs = [value for name, value in weights.items() if name.endswith(".filt")]
        for index, blur in enumerate(blurs):
            self.register_buffer(f"blur_{index}", blur)
        for index in range(len(_SLICES)):
            self.register_buffer(f"weight_{index}", weights[f"lin{index}.model.1.weight"])
        self.register_buffer("shift", weights["scaling_layer.shift"])
        self.register_buffer("scale", weights["scaling_layer.scale"])
        self.requires_grad_(False)

    @classmethod
    def load(cls, path: Path | None = None) -> "STLPIPS":
        """Load the weights.

        Args:
            path: The .pth file. Defaults to that of the installed package.
        """
        path = path or package_file(
            "stlpips_pytorch", "weights/vST0.0/vgg_shift_tolerant.pth", extra="eval"
        )
        return read_state(path, cls)

    @torch.inference_mode()
    def forward(self, prediction: Tensor, truth: Sequence[Tensor]) -> Tensor:
        """Distances of pictures from the truth, (N,).

        Args:
            prediction: (N, 3, H, W), clamped to [0, 1].
            truth: Feature maps of the truth, see `features`.
        """
        pairs = zip(self.features(prediction.clamp(0, 1)), truth, strict=True)
        total = prediction.new_zeros(len(prediction))
        for index, (x, y) in enumerate(pairs):
            difference = (x - y).square()
            weighted = functional.conv2d(difference, self.get_buffer(f"weight_{index}"))
            total += weighted.mean((1, 2, 3))
        return total

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> list[Tensor]:
        """Feature maps of (N, 3, H, W) in [0, 1], scaled to unit length at each pixel."""
        x = (2 * pictures - 1 - self.get_buffer("shift")) / self.get_buffer("scale")
        x = x.contiguous(memory_format=torch.channels_last)
        layers = iter(self.convolutions)
        maps = []
        for index, count in enumerate(_SLICES):
            if index:
                x = _blur_pool(x, self.get_buffer(f"blur_{index - 1}"))
            for _ in range(count):
                x = functional.relu(next(layers)(x))
            maps.append(functional.normalize(x, dim=1))
        return maps


def _blur_pool(x: Tensor, blur: Tensor) -> Tensor:
    """Maximum over 2x2 pixels, blurred, at half the resolution."""
    dense = functional.max_pool2d(x, 2, 1)
    padded = functional.pad(dense, (2, 2, 2, 2), mode="reflect")
    return functional.conv2d(padded, blur, stride=2, groups=blur.shape[0])


def _convolution(weights: dict[str, Tensor], name: str) -> nn.Conv2d:
    kernel = weights[name]
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], padding=1)
    with torch.no_grad():
        layer.weight.copy_(kernel)
        assert layer.bias is not None
        layer.bias.copy_(weights[name.replace(".weight", ".bias")])
    use_channels_last(layer)
    return layer


_MESH = (0.5, 0.58, 0.925)
"""Centre (x, y) and side of the mesh model's view of a canonical crop, as fractions of its side.
They are means over photographs."""


@dataclass(frozen=True)
class Landmarks:
    """Five landmarks of one picture."""

    points: Points
    """(5, 2) in pixels, in the order of `geometry.TEMPLATE`."""
    region: Region

    @property
    def eye_distance(self) -> float:
        """Distance of the centres of the eyes in pixels."""
        return float(np.linalg.norm(self.points[1] - self.points[0]))


class FaceAnalyser(Closing):
    """Measures faces with the mesh model and the detector. Close it after use."""

    def __init__(self) -> None:
        """Load the models.

        Raises:
            FaceModelError: If a model is missing. Missing models are not fetched.
        """
        missing = [s.model.name for s in face_models.status() if not s.present]
        if missing:
            raise FaceModelError("face models are missing: run 'crsr-video models --fetch'")
        self._landmarker = LandmarkModel()
        try:
            self._detector = Detector()
        except BaseException:
            self._landmarker.close()
            raise

    def close(self) -> None:
        """Release both models."""
        self._landmarker.close()
        self._detector.close()

    def landmarks(self, picture: Tensor, region: Region | None = None) -> Landmarks:
        """Find five points of a canonical crop, (3, S, S) in [0, 1].

        Small crops are enlarged to the 192 pixels of the model with bicubic interpolation.

        Args:
            picture: The crop.
            region: Region to look in. Pass that of the truth, so that the model sees two pictures
                of one face in the same way.
        """
        x, y, side = (part * picture.shape[-1] for part in _MESH)
        start = region or Region(x - 0.5, y - 0.5, side, side)
        observation = self._landmarker.observe(frame_of(picture), start)
        return Landmarks(observation.points, observation.seen_in)

    def distance(self, picture: Tensor, truth: Landmarks) -> float:
        """Return the mean distance of five landmarks from those of the truth, in eye distances."""
        found = self.landmarks(picture, truth.region)
        apart = np.linalg.norm(found.points - truth.points, axis=1)
        return float(apart.mean()) / max(truth.eye_distance, 1e-6)

    def confidence(self, picture: Tensor) -> float:
        """Return the score of the best face that the detector finds in a crop, from 0 to 1."""
        side = picture.shape[-1]
        middle = (side - 1) / 2
        run = DetectorRun(square(middle, middle, side), "short_range")
        return max((f.score for f in self._detector.detect(frame_of(picture), [run])), default=0.0)


def frame_of(picture: Tensor) -> Frame:
    """Return a picture, (3, H, W) in [0, 1], as a frame for the face models."""
    codes = picture.detach().float().clamp(0, 1).mul(255).round().byte()
    return from_rgb(codes.permute(1, 2, 0).contiguous().numpy(), 0)


Model = TypeVar("Model")
Embeddings = NDArray[np.float64]

SAME_PERSON = 0.6
"""According to dlib's documentation, two embeddings less than this far apart show one person."""

_BATCH = 16


class Embedder:
    """Computes embeddings with dlib's network, see `networks.recognition`."""

    def __init__(self) -> None:
        """Load the network."""
        self._network = load_recognition(face_models.resolve("recognition", fetch=False))

    @torch.inference_mode()
    def __call__(self, pictures: Tensor, framing: Framing = CANONICAL) -> Embeddings:
        """Return the embeddings (N, 128) of faces (N, 3, S, S) in [0, 1] that share one framing."""
        seen = chips(pictures.float().cpu(), framing.scale, framing.dy)
        found = torch.cat([self._network(part)[0] for part in torch.split(seen, _BATCH)])
        return found.double().numpy()


def same_person(a: Embeddings, b: Embeddings) -> NDArray[np.bool_]:
    """Return whether the faces of each pair show one person, (N, D) and (N, D) to (N,)."""
    close: NDArray[np.bool_] = np.linalg.norm(a - b, axis=1) < SAME_PERSON
    return close


class MetricModels(Closing):
    """The installed networks that measure results. Close this object after use.

    A network that is not installed is None.

    Attributes:
        notes: A line for each network that is missing.
        timed: Total computing time of each measure, by name.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.timed = Stopwatch()
        self.st_lpips = self._load(STLPIPS.load, "ST-LPIPS is not measured")
        self.embedder = self._load(Embedder, "identity is not measured")
        self.analyser = self._load(FaceAnalyser, "landmarks and detector are not measured")

    def _load(self, make: Callable[[], Model], consequence: str) -> Model | None:
        try:
            return make()
        except CrsrError as error:
            self.notes.append(f"{consequence}: {error}")
            return None

    def close(self) -> None:
        """Release the face models."""
        if self.analyser is not None:
            self.analyser.close()
