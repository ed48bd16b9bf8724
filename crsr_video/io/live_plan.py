"""Plan the output of a live source for low latency and for the players of its destination."""

from dataclasses import replace
from fractions import Fraction

from av import formats_available

from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError, OutputError
from crsr_video.io import encoders, losses, muxer_options
from crsr_video.io.clock import Timing, live_timing
from crsr_video.io.containers import (
    PLAIN,
    RAW,
    holds_video,
)
from crsr_video.io.destinations.address import (
    Destination,
)
from crsr_video.io.encoder_options import live_settings
from crsr_video.io.encoders import EncoderChoice
from crsr_video.io.feed import Feed
from crsr_video.io.output_plan import OutputPlan, refuse_losses, with_raw_format
from crsr_video.io.pictures import PictureShape, shape_for
from crsr_video.types import Frame


def plan_live_output(
    destination: Destination,
    feed: Feed,
    settings: OutputSettings,
    rate: Fraction | None,
    notices: tuple[str, ...] = (),
) -> OutputPlan:
    """Plan the result of a live source, without opening anything.

    Args:
        destination: Where the result goes.
        feed: The source.
        settings: The user's choices.
        rate: Frames per second. Defaults to the rate that the source states.
        notices: Notices about losses in the other streams.

    Raises:
        EncoderError: The encoder does not exist, or does not fit the container or the picture.
        OutputError: Something would be lost, and the settings are strict.
    """
    first, rate = feed.first, rate or feed.info.rate
    timing = live_timing(rate, feed.info.time_base)
    if destination.kind == "camera":
        plan = _camera_plan(destination, first, timing, notices)
        return refuse_losses(plan, settings)
    encoder, found = _live_encoder(settings, destination)
    choice, size, more = _live_choice(settings, destination, encoder, feed, rate)
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
    feed: Feed,
    rate: Fraction | None,
) -> tuple[EncoderChoice, tuple[int, int], tuple[str, ...]]:
    """Return the encoder with its settings, the size of the encoded pictures, and notices."""
    first = feed.first
    size, notices = (first.width, first.height), tuple[str, ...]()
    container = destination.container
    if encoder == encoders.RAW:
        settings = with_raw_format(settings, container, first)
        if container == "rawvideo":
            name = settings.options["pix_fmt"]
            fps = float(live_timing(rate, feed.info.time_base).rate)
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
    bits = feed.info.bit_rate
    choice = encoders.choose(encoder, settings, first.layout.name, size, rate, bits)
    return choice, size, notices


def _live_muxer_options(destination: Destination, tick: Fraction) -> dict[str, str]:
    if destination.kind in ("file", "hls"):
        return muxer_options.live_file_options(destination.container, destination.path, tick)
    return muxer_options.streaming_options(destination.muxer)
