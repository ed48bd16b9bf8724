"""``crsr-video live``: a stream in, a stream out, as it happens."""

import json
import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from crsr_video.cli import process, values
from crsr_video.cli.choosing import person_options
from crsr_video.cli.enhancing import encoder_option, enhancing_options, report_option
from crsr_video.cli.reporting import count
from crsr_video.config import Config, OutputSettings, ReadSettings
from crsr_video.errors import CrsrError

if TYPE_CHECKING:
    from crsr_video.live import LiveStatistics, LiveSummary


@click.command(short_help="Enhance a camera or a stream as it happens.")
@click.option(
    "-i",
    "--input",
    "source",
    metavar="SOURCE",
    required=True,
    help="- (standard input), a camera such as /dev/video0, an URL (rtsp, rtmp, srt, udp, http),"
    " or a file.",
)
@click.option(
    "-o",
    "--output",
    "sink",
    metavar="SINK",
    required=True,
    help="- (standard output), an URL (rtmp, srt, udp, rtsp), a file or playlist (.m3u8), or"
    " camera: for a virtual camera.",
)
@click.option(
    "--input-format",
    metavar="NAME",
    help="FFmpeg's name of what comes in: nut, mpegts, rawvideo, v4l2, avfoundation, dshow...",
)
@click.option(
    "--output-format",
    metavar="NAME",
    help="And of what goes out: nut, mpegts, y4m, rawvideo...  [default: nut on standard output]",
)
@click.option(
    "--size", metavar="WxH", callback=values.size, help="Of raw video, or asked of a camera."
)
@click.option("--pixel-format", metavar="NAME", help="Likewise.")
@click.option("--rate", metavar="FPS", callback=values.rate, help="Likewise.")
@click.option(
    "--input-option",
    "input_options",
    metavar="KEY=VALUE",
    multiple=True,
    callback=values.pairs,
    help="Further option for FFmpeg's reader; may be repeated.",
)
@click.option("--realtime", is_flag=True, help="Play a file at its own pace.")
@click.option("--loop", is_flag=True, help="With --realtime: a file again and again.")
@click.option(
    "--max-latency",
    type=click.FloatRange(5, 60_000),
    default=80.0,
    show_default=True,
    metavar="MS",
    help="From a frame's arrival to its departure, in 19 of 20 frames.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="End after so long.  [default: with the source]",
)
@click.option(
    "--connect-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="For the first picture, and for reaching the sink.",
)
@click.option(
    "--stall-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="A network source that is silent for so long is connected to anew.",
)
@click.option(
    "--reconnect/--no-reconnect",
    default=True,
    show_default=True,
    help="Whether to connect again to what broke off.",
)
@click.option(
    "--preview",
    is_flag=False,
    flag_value=0,
    type=click.IntRange(0, 65535),
    metavar="[PORT]",
    help="Show before and after on a page for this machine's browser; its address is told.",
)
@click.option("--codec", metavar="ENCODER", help="Video encoder.  [default: raw or libx264]")
@click.option("--bitrate", metavar="RATE", callback=values.bits, help="Bits a second, 4M or 800k.")
@click.option("--preset", help="Encoder preset.  [default: a fast one]")
@encoder_option
@enhancing_options
@person_options
@report_option
@click.option("--overwrite", is_flag=True, help="Replace the output and reports if they exist.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Statistics every second, a line each: on stderr if the video is on stdout.",
)
@click.pass_context
def live(
    context: click.Context,
    /,
    source: str,
    sink: str,
    input_format: str | None,
    output_format: str | None,
    size: tuple[int, int] | None,
    pixel_format: str | None,
    rate: Fraction | None,
    input_options: dict[str, str],
    realtime: bool,
    loop: bool,
    max_latency: float,
    seconds: float | None,
    connect_timeout: float,
    stall_timeout: float,
    reconnect: bool,
    preview: int | None,
    codec: str | None,
    bitrate: int | None,
    preset: str | None,
    encoder_options: dict[str, str],
    as_json: bool,
    **choices: Any,
) -> None:
    """Enhance the faces of a stream while it runs, and never lag behind.

    Every frame leaves soon after it came. When there is not enough time, less is done for each
    frame, which is told; when even that does not help, frames are left out.

    \b
    ffmpeg -f v4l2 -i /dev/video0 -f nut - | crsr-video live -i - -o - | ffplay -
    crsr-video live -i /dev/video0 -o camera: --preview
    crsr-video live -i rtsp://camera/stream -o rtmp://server/live/key
    """
    output = OutputSettings(
        container=output_format,
        codec=codec,
        bitrate=bitrate,
        preset=preset,
        options=encoder_options,
        connect_seconds=connect_timeout,
        reconnect=reconnect,
    )
    read = ReadSettings(
        format=input_format,
        size=size,
        pixel_format=pixel_format,
        rate=rate,
        options=input_options,
        realtime=realtime,
        loop=loop,
        connect_seconds=connect_timeout,
        stall_seconds=stall_timeout,
        reconnect=reconnect,
    )
    config = Config.from_options(on_error="passthrough", reading=read, output=output, **choices)
    with LiveReporter(quiet=context.obj, as_json=as_json, on_stderr=sink == "-") as reporter:
        # Imported only now: wrong options should be told at once.
        from crsr_video import live as lives
        from crsr_video.track import litert

        settings = lives.LiveSettings(
            source=source,
            output=sink,
            config=config,
            max_latency=max_latency / 1e3,
            seconds=seconds,
            preview=preview,
        )
        litert.prepare_process()
        hooks = lives.Hooks(reporter.notice, reporter.statistics, reporter.finish)
        lives.run(settings, hooks, command=("crsr-video", *sys.argv[1:]))


class LiveReporter:
    """Events of a live run, for people on stderr or for programs."""

    def __init__(self, *, quiet: bool, as_json: bool, on_stderr: bool) -> None:
        self._words = not quiet and not as_json
        self._json, self._on_stderr = as_json, on_stderr
        self._line = self._words and sys.stderr.isatty()
        self._open = False

    def __enter__(self) -> "LiveReporter":
        """Use as a context: a failure becomes an event."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Leave the line of figures."""
        self._break()
        if isinstance(error, CrsrError):
            self._event("error", message=str(error), kind=type(error).__name__)

    def notice(self, line: str) -> None:
        """Something the user should know."""
        self._event("notice", message=line)
        self._say(line)

    def statistics(self, now: "LiveStatistics") -> None:
        """Figures of the last seconds: a line that is written over, on a terminal."""
        process.finish_loading()
        self._event("statistics", **now.as_json())
        if self._line:
            told = f"{_figures(now)}, {count(now.faces, 'face')}, {now.level}"
            click.echo(f"\r\x1b[Kcrsr-video: {told}", err=True, nl=False)
            self._open = True

    def finish(self, summary: "LiveSummary") -> None:
        """The run is over."""
        told = summary.live
        self._event(
            "summary",
            **told.as_json(),
            sink_gone=summary.sink_gone,
            startup_seconds=round(summary.startup_seconds, 3),
            tracks=summary.statistics.tracks,
            damaged=summary.damaged,
            notices=list(summary.notices),
            reports=[str(path) for path in summary.reports],
        )
        self._say(f"{count(told.frames_out, 'frame')} in {told.seconds:.1f} s: {_figures(told)}")
        for path in summary.written:
            self._say(f"wrote {path}")
        if summary.sink_gone:
            self._say("ended, for nobody reads the output any more")

    def _event(self, event: str, **facts: Any) -> None:
        if self._json:
            click.echo(json.dumps({"event": event, **facts}), err=self._on_stderr)

    def _say(self, line: str) -> None:
        self._break()
        if self._words:
            click.echo(f"crsr-video: {line}", err=True)

    def _break(self) -> None:
        if self._open:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._open = False


def _figures(told: "LiveStatistics") -> str:
    latency = told.latency
    return (
        f"{told.fps_in:.1f} fps in, {told.fps_out:.1f} out, "
        f"latency {latency.p50:.0f} ms (p95 {latency.p95:.0f}, p99 {latency.p99:.0f}), "
        f"{told.dropped} dropped"
    )
