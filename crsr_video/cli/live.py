"""``crsr-video live``: enhance a stream while it runs."""

import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from crsr_video.cli import options, process
from crsr_video.cli.commands import Common, command, option, section
from crsr_video.cli.reporting import Reporter
from crsr_video.cli.values import Time, WholeNumber, parse_pairs
from crsr_video.config import Config, OutputSettings, ReadSettings
from crsr_video.formatting import format_count

if TYPE_CHECKING:
    from crsr_video.live import Hooks, LiveStatistics, LiveSummary

_stream_options = section(
    "Streams",
    option(
        "-i",
        "--input",
        "source",
        metavar="SOURCE",
        required=True,
        help="Read from standard input (-), a camera such as /dev/video0, a URL (rtsp, rtmp, srt,"
        " udp, http) or a file.",
    ),
    option(
        "-o",
        "--output",
        "sink",
        metavar="SINK",
        help="Write to standard output (-), a URL (rtmp, srt, udp, rtsp,"
        " whip+https), a file, a playlist (.m3u8) or a virtual camera (camera:). Not needed with"
        " --preview.",
    ),
    options.OVERWRITE,
    options.MAX_LATENCY,
    option(
        "--preview",
        is_flag=False,
        flag_value=0,
        type=WholeNumber(0, 65535, example="8080"),
        metavar="[PORT]",
        help="Serve a page for a browser on this machine that shows before and after, and sets the"
        " strength.",
    ),
    options.SECONDS.but(help="Stop after this time.  [default: when the source ends]"),
    options.REPORT,
    options.PRESET_NAME,
    options.JSON_EVENTS,
)

_source_options = section(
    "Source",
    option(
        "--input-format",
        metavar="NAME",
        help="FFmpeg's name of the source's format, such as nut, mpegts, rawvideo, v4l2,"
        " avfoundation or dshow.",
    ),
    options.SIZE.but(help="Frame size of raw video, or requested from a camera."),
    options.PIXEL_FORMAT.but(help="Pixel format of raw video, or requested from a camera."),
    options.RATE.but(help="Frame rate of raw video, or requested from a camera."),
    option(
        "--input-option",
        "input_options",
        metavar="KEY=VALUE",
        multiple=True,
        callback=parse_pairs,
        help="Pass an option to FFmpeg's reader; may be repeated.",
    ),
    option("--realtime", is_flag=True, help="Play a file at its own frame rate."),
    option("--loop", is_flag=True, help="With --realtime: repeat the file."),
    option(
        "--connect-timeout",
        type=Time(above_zero=True),
        default=10.0,
        help="Give up if the first frame or the sink takes longer.",
    ),
    option(
        "--stall-timeout",
        type=Time(above_zero=True),
        default=5.0,
        help="Reconnect to a network source that is silent for this time.",
    ),
    option(
        "--reconnect/--no-reconnect",
        default=True,
        help="Reconnect to a source or sink after its connection is lost.",
    ),
)

_encoder_options = section(
    "Video encoder",
    option(
        "--output-format",
        metavar="NAME",
        help="FFmpeg's name of the sink's format, such as nut, mpegts, y4m or rawvideo."
        "  [default: nut on standard output]",
    ),
    options.CODEC.but(
        help="Encode as h264 or h265, or with an FFmpeg encoder.  [default: rawvideo or libx264]"
    ),
    options.BITRATE,
    options.PRESET.but(help="Set the speed of the encoder.  [default: a fast one]"),
    options.ENCODER_OPTIONS,
)


@command(short_help="Enhance a camera or a stream.")
@_stream_options
@options.live_face_options
@options.network_options
@options.speed_options
@_source_options
@_encoder_options
@click.pass_obj
def live(
    common: Common,
    /,
    source: str,
    sink: str | None,
    preview: int | None,
    max_latency: float,
    seconds: float | None,
    input_format: str | None,
    input_options: dict[str, str],
    output_format: str | None,
    encoder_options: dict[str, str],
    connect_timeout: float,
    stall_timeout: float,
    reconnect: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Enhance the faces of a stream while it runs, within a limit on latency.

    If this machine is too slow, less work is done for each frame, and this is reported. If that is
    not enough, frames are dropped.

    \b
    ffmpeg -f v4l2 -i /dev/video0 -f nut - | crsr-video live -i - -o - | ffplay -
    crsr-video live -i /dev/video0 --preview
    crsr-video live -i /dev/video0 -o camera: --preview
    crsr-video live -i rtsp://camera/stream -o rtmp://server/live/key
    """
    if sink is None and preview is None:
        raise click.UsageError("nothing to do: add -o SINK, --preview, or both")
    connecting = {"connect_seconds": connect_timeout, "reconnect": reconnect}
    output = options.take(
        OutputSettings, choices, container=output_format, options=encoder_options, **connecting
    )
    read = options.take(
        ReadSettings,
        choices,
        format=input_format,
        options=input_options,
        stall_seconds=stall_timeout,
        **connecting,
    )
    config = Config.from_options(on_error="passthrough", reading=read, output=output, **choices)
    reporter = LiveReporter(common, as_json=as_json, events_to_stderr=sink == "-")
    with reporter, ExitStack() as stack:
        from crsr_video import live  # Wrong options should fail before libraries are imported.

        settings = live.LiveSettings(
            source=source,
            output=sink,
            config=config,
            max_latency=max_latency / 1e3,
            seconds=seconds,
        )

        def prepare() -> None:
            from crsr_video.track import litert

            process.limit_library_threads(config.networks.device)
            litert.prepare_process()

        hooks = live.Hooks(reporter.notice, reporter.statistics, reporter.end, prepare)
        if preview is not None:
            hooks = _with_page(hooks, preview, config.faces.strength, stack)
        live.run(settings, hooks, command=("crsr-video", *sys.argv[1:]))


def _with_page(hooks: "Hooks", port: int, strength: float, stack: ExitStack) -> "Hooks":
    """Return hooks that also show the run on a web page, which is served until `stack` closes."""
    from crsr_video.studio.live_page import LivePage

    page = stack.enter_context(LivePage(port, strength=strength))
    hooks.notice(f"preview: {page.address}")

    def show_statistics(now: "LiveStatistics") -> None:
        hooks.statistics(now)
        page.show_statistics(now.as_json())

    return replace(
        hooks, statistics=show_statistics, frame=page.show, strength=lambda: page.strength
    )


class LiveReporter(Reporter):
    """Reports the statistics, the notices and the summary of a live run.

    On a terminal, the statistics are a status line that is rewritten in place.
    """

    _status_shown = False

    def notice(self, text: str) -> None:
        """Report something that the user should know."""
        self.event("notice", message=text)
        self.say(text)

    def statistics(self, now: "LiveStatistics") -> None:
        """Report the statistics of the last seconds."""
        process.finish_loading()
        self.event("statistics", **now.as_json())
        if self._shows_bar:
            line = f"{_statistics_text(now)}, {format_count(now.faces, 'face')}, {now.level}"
            click.echo(f"\r\x1b[Kcrsr-video: {line}", err=True, nl=False)
            self._status_shown = True

    def end(self, summary: "LiveSummary") -> None:
        """Report the end of the run."""
        statistics = summary.live
        self.event(
            "summary",
            **statistics.as_json(),
            sink_gone=summary.sink_gone,
            startup_seconds=round(summary.startup_seconds, 3),
            unenhanced=summary.unenhanced,
            tracks=summary.statistics.tracks,
            damaged=summary.damaged,
            notices=list(summary.notices),
            reports=[str(path) for path in summary.reports],
        )
        frames = format_count(statistics.frames_out, "frame")
        self.say(f"Wrote {frames} in {statistics.seconds:.1f} s: {_statistics_text(statistics)}")
        for path in summary.written:
            self.say(f"Wrote {path}")
        if summary.sink_gone:
            self.say("stopped: the reader closed the output")

    def close_bar(self) -> None:
        """Remove the status line."""
        self._clear_bar()

    def _clear_bar(self) -> None:
        if self._status_shown:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._status_shown = False


def _statistics_text(statistics: "LiveStatistics") -> str:
    latency = statistics.latency
    return (
        f"{statistics.fps_in:.1f} fps in, {statistics.fps_out:.1f} out, "
        f"latency {latency.p50:.0f} ms (p95 {latency.p95:.0f}, p99 {latency.p99:.0f}), "
        f"{statistics.dropped} dropped"
    )
