"""The stages that restore faces: from the choice of people to the paste.

Importing this module loads torch, which takes about a second. The tracker does not need it.
"""

from dataclasses import dataclass
from typing import Any

import torch

from crsr_video import weights
from crsr_video.config import EnhancerConfig, NetworkSettings
from crsr_video.errors import FaceModelError
from crsr_video.imaging.masks import HEADROOM
from crsr_video.imaging.numpy_operations import NumpyOperations
from crsr_video.imaging.operations import Operations
from crsr_video.imaging.torch_operations import TorchOperations
from crsr_video.runtime.loading import Networks, load_background, load_networks
from crsr_video.runtime.placement import Placement
from crsr_video.stages.align import (
    CROP_SIZES,
    FAST_CROPS,
    FULL_CROPS,
    LIVE_CROPS,
    Aligner,
    CropSizePolicy,
)
from crsr_video.stages.background import Background
from crsr_video.stages.backoff import BackOff
from crsr_video.stages.base import Stage
from crsr_video.stages.budget import FaceBudget
from crsr_video.stages.carry import Carrier
from crsr_video.stages.consistify import ConsistifyStage
from crsr_video.stages.head_detail import HeadDetail
from crsr_video.stages.heads import HeadMasks
from crsr_video.stages.paste import Paster
from crsr_video.stages.people import People
from crsr_video.stages.quality import LiveQuality
from crsr_video.stages.smooth import Smoother
from crsr_video.stages.superres import SuperResolveStage
from crsr_video.track.grouping import PeopleGrouper
from crsr_video.track.person import PersonModel

_BATCH = {"cpu": 4, "mps": 8, "cuda": 64}
"""Number of crops in a batch, by device. Larger batches are not faster."""

_BACK_OFF_AHEAD = 6
"""Lookahead of back-off in frames, so that the strength is low before a face goes wrong."""

_LONGEST_WAIT = 15
"""Largest number of frames that wait for a full batch. More would take too much memory."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """The stages after the tracker, with loaded networks."""

    stages: tuple[tuple[str, Stage[Any, Any]], ...]
    """Names and stages in order."""
    placement: Placement
    notices: tuple[str, ...]
    """Notices about settings that the weights or the face models do not support."""


def build_restoration(
    config: EnhancerConfig,
    *,
    live: bool = False,
    quality: LiveQuality | None = None,
    networks: Networks | None = None,
    operations: Operations | None = None,
) -> Restoration:
    """Load the networks, and build the stages. The arguments are those of `pipeline.build`."""
    loaded = networks or load_networks(config)
    predictors, pair, device = loaded.predictors(), loaded.pair, loaded.placement.device
    here = operations or operations_for(device)
    batch = 1 if live and not here.joins_faces else _BATCH[device.type]
    heads, lacks = _heads(config, here)
    sizes: tuple[int, ...] = CROP_SIZES
    if heads and here.joins_faces:  # Every crop has headroom then.
        sizes = tuple(size + size // HEADROOM for size in CROP_SIZES)
    stages: list[tuple[str, Stage[Any, Any]]] = [
        *_chosen_people(config),
        *([("budget", FaceBudget(quality))] if quality is not None else []),
        *heads,
        (
            "align",
            Aligner(
                here,
                policy=_crop_sizes(config, live),
                scale=config.scale,
                keeps_detail=pair.name == weights.IDENTITY,
                batch=batch,
                lookahead=0 if live else min(batch - 1, _LONGEST_WAIT),
            ),
        ),
        (
            "consistify",
            ConsistifyStage(predictors.consistify, here, batch=batch, warm_up_sizes=sizes),
        ),
        (
            "super-resolve",
            SuperResolveStage(
                predictors.super_resolve,
                here,
                predictors.super_resolve_half,
                batch=batch,
                warm_up_sizes=sizes,
            ),
        ),
        *([("head detail", HeadDetail(here))] if heads and not here.joins_faces else []),
        ("smooth", Smoother(here, causal=live)),
        *(
            [("back-off", BackOff(here, lookahead=0 if live else _BACK_OFF_AHEAD))]
            if config.faces.backoff
            else []
        ),
        *([("carry", Carrier(here, quality))] if quality is not None else []),
        _paste(config, here, loaded.placement),
    ]
    notices = (*_unavailable(config, pair), *lacks)
    return Restoration(tuple(stages), loaded.placement, notices)


def operations_for(device: torch.device) -> Operations:
    """Return operations that run on CUDA if the networks do, and otherwise on the processor."""
    return TorchOperations(device) if device.type == "cuda" else NumpyOperations()


def _chosen_people(config: EnhancerConfig) -> list[tuple[str, Stage[Any, Any]]]:
    """Return the stages that select people, or none if no setting is about single people."""
    faces = config.faces
    by_number = bool(faces.people) or faces.only is not None
    if not by_number and faces.max_faces is None:
        return []
    people = People(faces.people, only=faces.only, most=faces.max_faces)
    return [*([("recognise", PeopleGrouper())] if by_number else []), ("people", people)]


def _heads(
    config: EnhancerConfig, operations: Operations
) -> tuple[list[tuple[str, Stage[Any, Any]]], tuple[str, ...]]:
    """Return the stage for head masks if heads are enhanced, or a notice if it cannot run.

    A user who has only the face models of an earlier version lacks the person model.
    """
    if config.faces.region == "face":
        return [], ()
    try:
        model = PersonModel()
    except FaceModelError as error:
        return [], (f"only faces are enhanced, without hair and neck: {error}",)
    return [("heads", HeadMasks(model, whole=operations.joins_faces))], ()


def _crop_sizes(config: EnhancerConfig, live: bool) -> CropSizePolicy:
    """Return small crop sizes for the fast model if the result has no room for more detail."""
    if config.networks.model != weights.FAST or config.scale > 1:
        return FULL_CROPS
    return LIVE_CROPS if live else FAST_CROPS


def _paste(
    config: EnhancerConfig, operations: Operations, placement: Placement
) -> tuple[str, Stage[Any, Any]]:
    """Return the last stage, which also treats the background if the configuration says so."""
    strength, scale = config.faces.strength, config.scale
    if config.background == "keep":
        return "paste", Paster(operations, strength, scale, config.upscaler)
    # The network's output is a change of the cubic enlargement.
    background = Background(load_background(placement))
    return "paste and background", Paster(operations, strength, scale, "cubic", background)


def _unavailable(config: EnhancerConfig, pair: weights.NetworkPair) -> tuple[str, ...]:
    """Return notices about settings that these weights do not support."""
    is_chosen = config.networks.texture not in (0, NetworkSettings().texture)
    if is_chosen and not pair.has_texture:
        return (f"the weights '{pair.name}' have no texture head: texture changes nothing",)
    return ()
