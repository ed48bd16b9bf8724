"""The nodes. ComfyUI's images are float tensors (N, H, W, C) of RGB in [0, 1]."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

import crsr_video

_STRENGTH = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05})
_TEXTURE = ("FLOAT", {"default": 0.75, "min": 0.0, "max": 1.0, "step": 0.05})
_MODEL = ("STRING", {"default": "fast", "tooltip": "'fast', or the path of a weights file"})
_SCALE = (["1", "2", "4"], {"default": "1"})
_PEOPLE = (
    "STRING",
    {"default": "", "tooltip": "Numbers of the only people to enhance, such as 1,4; empty: all"},
)


class EnhanceFaces:
    """Enhances the faces in a batch of images."""

    CATEGORY = "image/upscaling"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "enhance"
    DESCRIPTION = (
        "Finds every face, restores it, and leaves the rest of the image alone. 'video' treats the "
        "batch as frames of one video: faces are followed and smoothed from frame to frame."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return what ComfyUI shows as inputs of the node."""
        return {
            "required": {
                "images": ("IMAGE",),
                "strength": _STRENGTH,
                "texture": _TEXTURE,
                "scale": _SCALE,
                "model": _MODEL,
                "batch_is": (["video", "separate images"], {"default": "video"}),
            },
            "optional": {"people": _PEOPLE},
        }

    def enhance(
        self,
        images: torch.Tensor,
        strength: float,
        texture: float,
        scale: str,
        model: str,
        batch_is: str,
        people: str = "",
    ) -> tuple[torch.Tensor]:
        """Return the batch with enhanced faces.

        Args:
            images: float (N, H, W, C) in [0, 1]; channels beyond RGB, such as alpha, are dropped.
            strength: Share of the correction, 0 to 1.
            texture: 0 (faithful) to 1 (textured).
            scale: "1", "2" or "4".
            model: Name or path of weights.
            batch_is: "video" or "separate images".
            people: Numbers of the only people to enhance, with commas; empty for all.

        Returns:
            float32 (N, H * scale, W * scale, 3). At scale 1, pixels outside faces keep their exact
            values.

        Raises:
            CrsrError: The model or the device cannot be used, or `people` is wrong.
        """
        config = crsr_video.EnhancerConfig.from_options(
            strength=strength,
            texture=texture,
            scale=int(scale),
            model=model,
            only=_people(people),
        )
        pictures = images[..., :3].to("cpu", torch.float32).contiguous()
        codes = (pictures * 255).round().clamp(0, 255).to(torch.uint8).numpy()
        is_video = batch_is == "video"
        with crsr_video.Enhancer(config, live=not is_video) as enhancer:
            if is_video:
                enhanced = list(enhancer.enhance(iter(codes)))
            else:
                enhanced = []
                for picture in codes:
                    enhanced += enhancer.push(picture)
                    enhancer.reset()
        return (_blended(pictures, codes, np.stack(enhanced)),)


class EnhanceVideoFile:
    """Enhances the faces in a video file, with its sound, timing and colours kept."""

    CATEGORY = "image/video"
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("path",)
    FUNCTION = "enhance"
    OUTPUT_NODE: ClassVar[bool] = True
    DESCRIPTION = "Enhances a video file as a whole and returns the path of the result."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return what ComfyUI shows as inputs of the node."""
        return {
            "required": {
                "path": ("STRING", {"default": ""}),
                "strength": _STRENGTH,
                "texture": _TEXTURE,
                "scale": _SCALE,
                "model": _MODEL,
            },
            "optional": {"output": ("STRING", {"default": ""}), "people": _PEOPLE},
        }

    def enhance(
        self,
        path: str,
        strength: float,
        texture: float,
        scale: str,
        model: str,
        output: str = "",
        people: str = "",
    ) -> tuple[str]:
        """Enhance a file, replacing an earlier result, and return the path of the result.

        Raises:
            CrsrError: The file cannot be read, or the result cannot be written.
        """
        config = crsr_video.Config.from_options(
            strength=strength,
            texture=texture,
            scale=int(scale),
            model=model,
            only=_people(people),
            overwrite=True,
        )
        summary = crsr_video.enhance(Path(path), Path(output) if output else None, config=config)
        return (str(summary.output),)


def _people(text: str) -> frozenset[int] | None:
    """Return track IDs from text such as "1, 4"; nothing stands for everybody."""
    words = text.replace(",", " ").split()
    if not words:
        return None
    if not all(word.isdigit() for word in words):
        raise crsr_video.CrsrError(f"people: use numbers with commas, such as 1,4, not '{text}'")
    return frozenset(map(int, words))


def _blended(pictures: torch.Tensor, before: np.ndarray, after: np.ndarray) -> torch.Tensor:
    """Return enhanced pictures. Pixels that did not change keep their exact float values."""
    made = torch.from_numpy(after).to(torch.float32) / 255
    if before.shape != after.shape:
        return made
    unchanged = torch.from_numpy(before == after)
    return torch.where(unchanged, pictures, made)
