"""The sentence, in order: track, align, consistify, super-resolve, smooth, paste.

Decode and encode stand at either end, in `enhance`.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import nn

from crsr_video import weights
from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig
from crsr_video.errors import ConfigError
from crsr_video.imaging import fields
from crsr_video.runtime import devices
from crsr_video.runtime.batches import BatchStage, Predictor
from crsr_video.stages.align import FULL, THRIFTY, TIERS, Thrift
from crsr_video.stages.backoff import BackOff, Lowered
from crsr_video.stages.effort import Effort
from crsr_video.stages.people import People
from crsr_video.stages.ration import Rationer
from crsr_video.stages.steps import Steps
from crsr_video.track import tracks_file
from crsr_video.track.replay import Replay
from crsr_video.track.tracker import Tracker
from crsr_video.types import Frame, Stage, TrackedFrame, VideoInfo

_BATCH = {"cpu": 4, "mps": 8, "cuda": 64}
"""Crops a batch by device: more gain nothing."""

_WINDOWED = (64, 128)
"""Sides of crops of which only the part is computed that is pasted: the face comes out the same
(talking faces of 48 and 96 pixels within 0.005 dB), in two thirds of the time. Crops of 32 pixels
lose 0.1 to 0.4 dB by it."""

_LONGEST_WAIT = 15
"""Frames that a batch waits for at most: more would fill memory."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What happened in a run, for progress and report."""

    frames: int = 0
    faces: int = 0
    """Faces seen, summed over frames."""
    enhanced: int = 0
    """Faces changed, summed over frames."""
    tracks: int = 0
    """Different faces as the tracker tells them apart."""
    cuts: int = 0
    passed_through: int = 0
    """Frames left unchanged because of an error (``on_error="passthrough"``)."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Reason to number of faces, summed over frames."""
    stage_seconds: dict[str, float] = field(default_factory=dict)


class _Timed:
    """A stage whose time is measured, and whose failures can be made to pass frames through."""

    def __init__(self, name: str, stage: Stage[Any, Any], rescue: bool) -> None:
        self.name = name
        self.stage = stage
        self.seconds = 0.0
        self.failures = 0
        self.clock = time.perf_counter
        self._rescue = rescue
        self._push_all = getattr(stage, "push_all", None)
        self._inside: list[Any] = []

    def push(self, item: Any) -> list[Any]:
        return self._timed(lambda: self.stage.push(item), [item])

    def parts(self, items: list[Any]) -> list[list[Any]]:
        """What the stage takes at once: all, if it can, else one by one."""
        return [items] if self._push_all and len(items) > 1 else [[item] for item in items]

    def push_part(self, items: list[Any]) -> list[Any]:
        """One of the parts."""
        if self._push_all is None or len(items) == 1:
            return self.push(items[0])
        take: Callable[[list[Any]], list[Any]] = self._push_all
        return self._timed(lambda: take(items), items)

    def flush(self) -> list[Any]:
        return self._timed(self.stage.flush, [])

    def reset(self) -> None:
        self._inside.clear()
        self.stage.reset()

    def _timed(self, act: Callable[[], list[Any]], new: list[Any]) -> list[Any]:
        begin = self.clock()
        self._inside += new
        try:
            done = act()
        except Exception:
            if not self._rescue:
                raise
            # The stage's memory is in doubt: whatever was inside leaves it without faces.
            self.stage.reset()
            plain = [_unchanged(item) for item in self._inside]
            self.failures += len(plain)
            if self.name == "paste":
                plain = [done for item in plain for done in self.stage.push(item)]
            done = plain
        del self._inside[: len(done)]
        self.seconds += self.clock() - begin
        return done


def _unchanged(item: Any) -> Any:
    """An item as if no face had been seen."""
    return TrackedFrame(item) if isinstance(item, Frame) else replace(item, faces=())


class Pipeline(Closing):
    """Frames in, enhanced frames out, in order.

    Args: stages: (name, stage) in order; the first takes `Frame`, the last returns it.
          rescue: let a frame pass through unchanged when a stage fails on it.
    """

    def __init__(
        self, stages: Iterable[tuple[str, Stage[Any, Any]]], *, rescue: bool = False
    ) -> None:
        self._stages = [_Timed(name, stage, rescue) for name, stage in stages]
        self._weaver = fields.Weaver()
        self._seen = Statistics()
        self._tracks: set[int] = set()
        self._skipped: Counter[str] = Counter()
        self.told: tuple[str, ...] = ()
        """What was known to be worth telling when it was built."""
        self.in_view = 0
        """Faces in the frame that was finished last."""
        self.counts: Callable[[Frame], bool] = lambda _: True
        """Which frames the statistics are of: a warm-up, say, is left out."""
        self.observer: Callable[[TrackedFrame, Frame], None] | None = None
        """Shown each frame before and after the last stage, of the frames that count."""
        self.placement: devices.Placement | None = None
        """Where the networks run, if `build` made it."""

    @property
    def lookahead(self) -> int:
        """Frames that may be held back in all."""
        return sum(stage.stage.lookahead for stage in self._stages)

    def push(self, frame: Frame) -> list[Frame]:
        """Take a frame; return those that are finished."""
        return [done for item in self.track(frame) for done in self.restore(item)]

    def flush(self) -> list[Frame]:
        """End of stream: finish every frame held back."""
        done = [done for item in self.track(None) for done in self.restore(item)]
        return done + self.restore(None)

    def track(self, frame: Frame | None) -> list[TrackedFrame]:
        """The first half of `push`, and of `flush` with None: only the first stage.

        The two halves may run in two threads: they share nothing but what travels.
        """
        return self._stages[0].flush() if frame is None else self._stages[0].push(frame)

    def warm(self) -> None:
        """Let the networks do once, on nothing, what takes long the first time."""
        for stage in self._stages:
            if isinstance(stage.stage, BatchStage):
                stage.stage.warm(TIERS)

    def time_by(self, clock: Callable[[], float]) -> None:
        """Measure the stages by another clock than the wall's, such as `time.process_time`."""
        for stage in self._stages:
            stage.clock = clock

    def overlook(self, frame: Frame) -> TrackedFrame:
        """In place of `track`, of a pipeline without lookahead: nobody is looked for."""
        self._stages[0].reset()
        return TrackedFrame(frame)

    def restore(self, item: TrackedFrame | None) -> list[Frame]:
        """The second half of `push`, and of `flush` with None: all further stages."""
        if item is not None:
            return self._woven(self._through(list(fields.split(item)), 1))
        done: list[Frame] = []
        for index, stage in enumerate(self._stages[1:], 1):
            items = stage.flush()
            self._note(stage, items)
            done += self._through(items, index + 1)
        return self._woven(done)

    def reset(self) -> None:
        """Forget all frames and faces, as at the beginning of another video."""
        for stage in self._stages:
            stage.reset()
        self._weaver.reset()

    def close(self) -> None:
        """Free detectors and the like."""
        for stage in self._stages:
            close = getattr(stage.stage, "close", None)
            if close is not None:
                close()

    @property
    def statistics(self) -> Statistics:
        """So far."""
        return replace(
            self._seen,
            tracks=len(self._tracks),
            passed_through=sum(stage.failures for stage in self._stages),
            skipped=dict(self._skipped),
            stage_seconds={stage.name: stage.seconds for stage in self._stages},
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """What stages have found that the user should know, in words."""
        found = (told for s in self._stages for told in getattr(s.stage, "notices", ()))
        return (*self.told, *found)

    @property
    def lowered(self) -> dict[int, Lowered]:
        """What back-off took, by track."""
        found = (s.stage.lowered for s in self._stages if isinstance(s.stage, BackOff))
        return next(found, {})

    def _through(self, items: list[Any], first: int) -> list[Any]:
        for stage in self._stages[first:]:
            items = [done for part in stage.parts(items) for done in self._pushed(stage, part)]
            self._note(stage, items)
        return items

    def _pushed(self, stage: _Timed, items: list[Any]) -> list[Any]:
        done = stage.push_part(items)
        if self.observer is None or stage is not self._stages[-1] or len(done) != len(items):
            return done
        for item, finished in zip(items, done, strict=True):
            if not item.frame.second and self.counts(item.frame):
                self.observer(item, finished)
        return done

    def _woven(self, done: list[Frame]) -> list[Frame]:
        """Whole frames again, where interlaced ones went in."""
        return [whole for frame in done for whole in self._weaver.push(frame)]

    def _note(self, stage: _Timed, items: list[Any]) -> None:
        """Count what is about to be pasted."""
        if stage is self._stages[-2]:
            for item in items:
                if not item.frame.second and self.counts(item.frame):  # Fields count once.
                    self._count(item)

    def _count(self, item: TrackedFrame) -> None:
        seen = self._seen
        self.in_view = len(item.faces)
        self._tracks.update(face.track for face in item.faces)
        self._skipped.update(face.skipped for face in item.faces if face.skipped is not None)
        self._seen = replace(
            seen,
            frames=seen.frames + 1,
            faces=seen.faces + len(item.faces),
            enhanced=seen.enhanced + sum(face.enhanced is not None for face in item.faces),
            cuts=seen.cuts + item.cut,
        )


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Networks:
    """What a configuration needs of networks, loaded; any number of pipelines may share them."""

    pair: weights.Pair
    placement: devices.Placement
    made: dict[int, Predictor] | None = None
    """What pipelines that take turns in one thread share besides; None: each makes its own."""
    windowed: tuple[int, ...] = ()
    """Sides of crops of which only the part is computed that is used; see `backends.windowed`."""

    def taking_turns(self) -> "Networks":
        """The same for pipelines that never run at the same time, which saves memory."""
        return replace(self, made={})

    def predictor(self, network: nn.Module) -> Predictor:
        """What runs one of the pair's networks."""
        if self.made is not None and id(network) in self.made:
            return self.made[id(network)]
        made = Predictor(network, self.placement, windowed=self.windowed)
        if self.made is not None:
            self.made[id(network)] = made
        return made


def load_networks(config: EnhancerConfig) -> Networks:
    """Load the networks that a configuration names.

    Raises: DeviceError, WeightsError.
    """
    placement = _place(config)
    pair = _pair(config)
    placement = placement.fitting(eight_bits=pair.eight_bits)
    # Networks that do nothing do so everywhere.
    return Networks(pair, placement, windowed=() if pair.name == weights.IDENTITY else _WINDOWED)


def placed(config: EnhancerConfig) -> devices.Placement:
    """Where and in what arithmetic `load_networks` lets them run, to be told without them.

    Raises: DeviceError, WeightsError.
    """
    placement = _place(config)
    return placement.fitting(eight_bits=_pair(config).eight_bits)


def _place(config: EnhancerConfig) -> devices.Placement:
    networks = config.networks
    return devices.place(networks.device, networks.precision, threads=networks.threads)


def _pair(config: EnhancerConfig) -> weights.Pair:
    return weights.load(config.networks.model).with_texture(config.networks.texture)


def build(
    config: EnhancerConfig,
    *,
    live: bool = False,
    tracker: Stage[Frame, TrackedFrame] | None = None,
    effort: Effort | None = None,
    networks: Networks | None = None,
    on_device: bool | None = None,
) -> Pipeline:
    """The pipeline that a configuration asks for.

    Args:   live: no lookahead anywhere: each frame comes back at once.
            tracker: in place of one that looks for faces.
            effort: tells the stages how much there is time for, from frame to frame.
            networks: those of this configuration, if they are loaded already.
            on_device: crops, warps and masks are on the networks' device too, not on the
            processor; None: on CUDA they are.
    Raises: DeviceError, WeightsError, FaceModelError.
            ConfigError: the configuration names a tracks file, but there is no tracker.
    """
    if config.faces.tracks is not None and tracker is None:
        raise ConfigError("tracks are of a video file: without one, faces must be looked for")
    loaded = networks or load_networks(config)
    pair, placement = loaded.pair, loaded.placement
    steps = _steps(placement, on_device)
    batch = 1 if live and not steps.together else _BATCH[placement.device.type]
    wait = 0 if live else min(batch - 1, _LONGEST_WAIT)
    stages: list[tuple[str, Stage[Any, Any]]] = [
        ("track", tracker or Tracker(lookahead=0 if live else 8, min_face=config.faces.min_face)),
        *_people(config),
        *([("ration", Rationer(effort))] if effort is not None else []),
        ("align", steps.align(keep_detail=pair.name == weights.IDENTITY, thrift=_thrift(config))),
        ("consistify", steps.consistify(loaded.predictor(pair.consistifier), batch, wait)),
        ("super-resolve", steps.super_resolve(loaded.predictor(pair.superresolver), batch, wait)),
        ("smooth", steps.smooth(causal=live)),
        *([("back-off", steps.back_off())] if config.faces.backoff else []),
        *([("carry", steps.carry(effort))] if effort is not None else []),
        ("paste", steps.paste(config.faces.strength, config.scale, config.upscaler)),
    ]
    built = Pipeline(stages, rescue=config.on_error == "passthrough")
    built.placement = placement
    built.told = _missing(config, pair)
    return built


def recorded(
    config: EnhancerConfig, source: Path, info: VideoInfo, *, shift: Fraction = Fraction(0)
) -> Replay | None:
    """What stands in for the tracker, if a file of tracks was given.

    Args:   source: the video, and `info` what is known of it.
            shift: seconds by which its times are moved.
    Raises: TracksError: the file is damaged, or of another video.
    """
    if config.faces.tracks is None:
        return None
    recording = tracks_file.read(config.faces.tracks)
    tracks_file.check_video(recording, config.faces.tracks, source, info)
    ticks = int(shift / info.time_base)
    return Replay(recording, config.faces.tracks, shift=ticks, min_face=config.faces.min_face)


def _missing(config: EnhancerConfig, pair: weights.Pair) -> tuple[str, ...]:
    """What was asked for and these weights have not learnt."""
    if config.networks.texture > 0 and not pair.has_texture:
        return (f"the weights '{pair.name}' have no texture head: texture changes nothing",)
    return ()


def _people(config: EnhancerConfig) -> list[tuple[str, Stage[Any, Any]]]:
    """Whom to enhance, where anything was chosen."""
    faces = config.faces
    if not faces.people and faces.only is None and faces.max_faces is None:
        return []
    return [("people", People(faces.people, only=faces.only, most=faces.max_faces))]


def _steps(placement: devices.Placement, on_device: bool | None) -> Steps:
    """Where pictures of faces are: with the networks, or with the processor."""
    if on_device if on_device is not None else placement.device.type == "cuda":
        from crsr_video.stages.on_device.steps import DeviceSteps

        return DeviceSteps(placement.device)
    return Steps()


def _thrift(config: EnhancerConfig) -> Thrift:
    """Small crops where speed was asked for, and the result has no room for more."""
    return THRIFTY if config.networks.model == weights.FAST and config.scale == 1 else FULL
