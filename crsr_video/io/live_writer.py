"""Write the result of a live source with low latency, and reconnect after a broken connection.

Before that, the result is planned for low latency and for the players of its destination.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from av import formats_available
from av.video.frame import VideoFrame

from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError, OutputError
from crsr_video.formatting import format_count
from crsr_video.io import encoders, losses, muxer_options, pyav
from crsr_video.io.clock import Timing, live_timing
from crsr_video.io.containers import (
    PLAIN,
    RAW,
    holds_video,
)
from crsr_video.io.copied_streams import StreamTemplates
from crsr_video.io.destinations.address import (
    Destination,
    parse_address,
)
from crsr_video.io.destinations.byte_streams import ByteStream
from crsr_video.io.destinations.camera import VirtualCameraSession
from crsr_video.io.destinations.connecting import Connector
from crsr_video.io.encoder_options import live_settings
from crsr_video.io.encoders import EncoderChoice
from crsr_video.io.muxing import LiveMuxer
from crsr_video.io.output_file import check_output
from crsr_video.io.output_plan import OutputPlan, refuse_losses, with_raw_format
from crsr_video.io.pace import FIRST_DELAY_SECONDS
from crsr_video.io.pictures import Fitter, PictureShape, own_picture, shape_for
from crsr_video.io.raw_video import RawVideo
from crsr_video.io.session import OutputSession
from crsr_video.io.source import Source
from crsr_video.io.writer import OutputWriter
from crsr_video.types import Frame


def plan_live_output(
    destination: Destination,
    source: Source,
    settings: OutputSettings,
    rate: Fraction | None,
    notices: tuple[str, ...] = (),
) -> OutputPlan:
    """Plan the result of a live source, without opening anything.

    Args:
        destination: Where the result goes.
        source: The source.
        settings: The user's choices.
        rate: Frames per second. Defaults to the rate that the source states.
        notices: Notices about losses in the other streams.

    Raises:
        EncoderError: The encoder does not exist, or does not fit the container or the picture.
        OutputError: Something would be lost, and the settings are strict.
    """
    first, rate = source.first, rate or source.info.rate
    timing = live_timing(rate, source.info.time_base)
    if destination.kind == "camera":
        plan = _camera_plan(destination, first, timing, notices)
        return refuse_losses(plan, settings)
    encoder, found = _live_encoder(settings, destination)
    choice, size, more = _live_choice(settings, destination, encoder, source, rate)
    container = destination.container
    is_converted = (choice.pixel_format, *size) != (first.layout.name, first.width, first.height)
    keeps_fields = losses.keeps_fields(container, encoder, is_converted=is_converted)
    shape = replace(
        shape_for(first.layout, choice.pixel_format, size),
        sample_aspect=first.sample_aspect,
        interlaced=first.interlaced if keeps_fields else "progressive",
    )
    plan = OutputPlan(
        destination,
        choice,
        shape,
        replace(timing, counts_frames=choice.counts_frames),
        _live_muxer_options(destination, timing.tick),
        (),
        tuple(
            dict.fromkeys(
                (
                    *found,
                    *more,
                    *choice.notices,
                    *losses.picture_notices(first, container, encoder),
                    *losses.field_notices(first.interlaced, encoder, are_kept=keeps_fields),
                    *notices,
                )
            )
        ),
        is_live=True,
    )
    return refuse_losses(plan, settings)


def _camera_plan(
    destination: Destination, first: Frame, timing: Timing, notices: tuple[str, ...]
) -> OutputPlan:
    """Return the plan for a virtual camera.

    Programs expect limited-range BT.601 4:2:0 pictures from a camera.
    """
    size = max(2, first.width & ~1), max(2, first.height & ~1)
    shape = PictureShape(*size, "yuv420p", "bt601", False, first.sample_aspect)
    if first.rotation:
        notices += ("a virtual camera does not hold the rotation",)
    choice = EncoderChoice("", "yuv420p", {})
    return OutputPlan(destination, choice, shape, timing, notices=notices, is_live=True)


def _live_encoder(
    settings: OutputSettings, destination: Destination
) -> tuple[str, tuple[str, ...]]:
    container = destination.container
    if container in PLAIN and settings.codec not in (None, encoders.RAW):
        raise EncoderError(f"{container} holds raw pictures only, not {settings.codec}")
    asked = settings.codec or (encoders.RAW if container in RAW else None)
    name, notices = encoders.encoder_name("h264", asked, is_rgb=False)
    if container == "whip" and container not in formats_available:
        raise OutputError(f"{destination.name}: this build of PyAV lacks FFmpeg's WHIP muxer")
    # The muxers of HLS and RTSP cannot be tried, but they hold the same codecs as MPEG-TS.
    trial = {"hls": "mpegts", "rtsp": "mpegts"}.get(container, container)
    if container not in PLAIN and not holds_video(trial, name):
        raise EncoderError(f"{container} cannot hold {name}'s video")
    return name, notices


def _live_choice(
    settings: OutputSettings,
    destination: Destination,
    encoder: str,
    source: Source,
    rate: Fraction | None,
) -> tuple[EncoderChoice, tuple[int, int], tuple[str, ...]]:
    """Return the encoder with its settings, the size of the encoded pictures, and notices."""
    first = source.first
    size, notices = (first.width, first.height), tuple[str, ...]()
    container = destination.container
    if encoder == encoders.RAW:
        settings = with_raw_format(settings, container, first)
        if container == "rawvideo":
            name = settings.options["pix_fmt"]
            fps = float(live_timing(rate, source.info.time_base).rate)
            notices = (f"raw video: {size[0]}x{size[1]} {name}, {fps:g} frames per second",)
    else:
        is_for_players = destination.is_network or container in ("hls", "flv")
        offered = encoders.pixel_formats(encoder)
        if is_for_players and "yuv420p" in offered and "pix_fmt" not in settings.options:
            # Every player and service takes this format, which needs even sizes.
            # Every browser decodes the baseline profile, and some decode no other one over WebRTC.
            profile = {"profile": "baseline"} if (container, encoder) == ("whip", "libx264") else {}
            options = {**profile, **settings.options, "pix_fmt": "yuv420p"}
            settings = replace(settings, options=options)
            even = size[0] & ~1, size[1] & ~1
            if even != size:
                was = f"{size[0]}x{size[1]}"
                notices = (f"pictures of {was} lose their last row or column for players",)
            size = even
        settings = live_settings(encoder, settings)
    bits = source.info.bit_rate
    choice = encoders.choose(encoder, settings, first.layout.name, size, rate, bits)
    return choice, size, notices


def _live_muxer_options(destination: Destination, tick: Fraction) -> dict[str, str]:
    if destination.kind in ("file", "hls"):
        return muxer_options.live_file_options(destination.container, destination.path, tick)
    return muxer_options.streaming_options(destination.muxer)


_STALLED_SECONDS = 5.0
"""A network receiver that reads nothing for this long counts as gone."""
_STEADY_SECONDS = 10.0
"""If a connection lasted longer than this, reconnecting starts with the shortest delay."""


class LiveWriter(OutputWriter):
    """Writes the result of a live source with low latency.

    While a network is disconnected, frames are dropped and counted. Every new connection starts
    with headers and a keyframe. The first connection is attempted only once.

    Args:
        address: "-" for standard output, "camera:" with or without a name, a URL, or a path.
        source: The source.
        settings: The user's choices.
        overwrite: Whether an existing file may be replaced.
        rate: Frames per second. Defaults to the rate that the source states.
        on_event: Called with a line about each later event, possibly from another thread.

    Raises:
        OutputError: The result cannot be written, or no connection is made in time.
        ReaderGoneError: The reader of standard output has closed it already.
    """

    def __init__(
        self,
        address: str,
        source: Source,
        settings: OutputSettings | None = None,
        *,
        overwrite: bool = False,
        rate: Fraction | None = None,
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._source, self._on_event = source, on_event
        self._settings = settings or OutputSettings()
        destination = parse_address(address, self._settings.container)
        if destination.kind in ("file", "hls"):
            check_output(destination.path, None, overwrite)
        self._templates = StreamTemplates(source.others, destination.container)
        super().__init__(
            plan_live_output(destination, source, self._settings, rate, self._templates.notices)
        )
        self._fitter = Fitter(self.plan.shape)
        self._sample = self._picture(source.first)
        self._connector: Connector | None = None
        self._retry_delay: float | None = None
        self._connected_at = 0.0
        self._missed = 0
        try:
            if destination.kind == "camera":
                self._session = VirtualCameraSession(self.plan)
            elif destination.is_network:
                self._connect()
            else:
                self._session = self._start(self._open_target(None, overwrite=overwrite))
        except BaseException:
            self._release(failed=True)
            raise

    def _start(self, target: ByteStream | Path) -> OutputSession:
        """Begin the stream on a new connection or file."""
        if self.plan.container in PLAIN:
            assert isinstance(target, ByteStream)
            return RawVideo(target, self.plan, self._drop_frame)
        return LiveMuxer(target, self.plan, self._sample, self._source.first, self._templates)

    def _picture(self, frame: Frame) -> VideoFrame:
        return self._fitter.fit(own_picture(frame, self._source.first), frame.sample_aspect)

    def change(self, source: Source) -> None:
        """Continue after the source has changed its size or format, or has been reconnected.

        Frames are fitted into the size of the result, and audio is copied if it has not changed.
        """
        with self._guard:
            old, new = self._source.first, source.first
            if (old.width, old.height, old.layout) != (new.width, new.height, new.layout):
                self._on_event(self._fitting_notice(new))
            for line in self._templates.change_source(source.others):
                self._on_event(line)
            self._source = source

    def _fitting_notice(self, new: Frame) -> str:
        shape = self.plan.shape
        now = f"{new.width}x{new.height} {new.layout.name}"
        if (new.width, new.height, new.layout.name) == (*shape.size, shape.pixel_format):
            return f"the source has changed back to {now}"
        was = f"{shape.width}x{shape.height} {shape.pixel_format}"
        return f"the source has changed to {now}: its pictures are fitted into {was}"

    # Networks -----------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """Current activity of the writer; see `OutputWriter.state`."""
        connector = self._connector
        return connector.state if connector is not None else super().state

    def _connect(self) -> None:
        """Make the first connection, which is attempted only once."""
        seconds = self._settings.connect_seconds
        connector = Connector(self.plan.destination, seconds)
        try:
            stream = connector.result(seconds + 1.0)
        finally:
            connector.stop()
        if stream is None:
            raise OutputError(f"{self.plan.name}: no answer within {seconds:g} s")
        self._use(stream)
        with pyav.translated(OutputError, f"{self.plan.name}: cannot be reached"):
            stream.wait_until_connected(seconds, threading.Event())

    def _use(self, stream: ByteStream) -> None:
        """Begin the stream on a new connection."""
        stream.patience = min(_STALLED_SECONDS, self._settings.connect_seconds)
        self._stream = stream
        self._session = self._start(stream)
        self._connected_at = time.monotonic()

    def _connected_session(self) -> OutputSession | None:
        """Return the current session. If a new connection has been made, begin a session on it."""
        connector = self._connector
        if connector is not None and (stream := connector.result()) is not None:
            self._retry_delay, self._connector = connector.delay, None
            self._use(stream)
            missed, self._missed = self._missed, 0
            self._on_event(f"{self.plan.name}: connected again after {_dropped(missed)}")
        return self._session

    def _drop_frame(self) -> None:
        self.dropped += 1
        self._missed += 1

    def _handle_break(self, error: OutputError) -> None:
        """Begin to reconnect if the destination is a network and the settings allow it."""
        reconnects = self.plan.destination.is_network and self._settings.reconnect
        is_cancelled = self._stream is not None and self._stream.closed
        if not reconnects or is_cancelled:
            raise error
        self._disconnect()
        self._drop_frame()
        self._on_event(f"{error}; connecting again")
        was_steady = time.monotonic() - self._connected_at > _STEADY_SECONDS
        delay = (
            FIRST_DELAY_SECONDS if was_steady or self._retry_delay is None else self._retry_delay
        )
        self._connector = Connector(
            self.plan.destination,
            self._settings.connect_seconds,
            retry_delay=delay,
            on_event=self._on_event,
        )

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        stream, self._stream = self._stream, None
        if session is not None:
            session.drop()
        if stream is not None:
            stream.release()

    # Ending -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Finish; see `OutputWriter.close`. A network error here becomes a notice.

        Raises:
            OutputError: The connection was lost earlier, and did not come back.
        """
        is_lost = self._connector is not None
        try:
            super().close()
        except EncoderError:
            raise
        except OutputError as error:
            if not self.plan.destination.is_network:
                raise
            self._on_event(str(error))
        if is_lost:
            raise OutputError(
                f"{self.plan.name}: the connection was lost and did not come back: "
                f"it ends with {_dropped(self._missed)}"
            )

    def _finish(self) -> None:
        if self._connector is None:
            super()._finish()

    def _release(self, *, failed: bool) -> None:
        connector, self._connector = self._connector, None
        if connector is not None:
            connector.stop()
        super()._release(failed=failed)


def _dropped(count: int) -> str:
    return format_count(count, "dropped frame")
