"""The subcommands, one module each; none imports anything heavy before it runs."""

import click

from crsr_video.cli.bench import bench
from crsr_video.cli.bench_live import bench_live
from crsr_video.cli.bench_networks import bench_networks
from crsr_video.cli.bench_plugin import bench_plugin
from crsr_video.cli.compare import compare
from crsr_video.cli.completion import completion
from crsr_video.cli.doctor import doctor
from crsr_video.cli.enhance import enhance
from crsr_video.cli.export import export
from crsr_video.cli.ffmpeg_args import ffmpeg_args
from crsr_video.cli.live import live
from crsr_video.cli.models import models
from crsr_video.cli.plugin import plugin
from crsr_video.cli.research import evaluate, harvest, prepare, train
from crsr_video.cli.serve import serve
from crsr_video.cli.tracking import evaluate_tracking
from crsr_video.cli.tracks import tracks

ALL: tuple[click.Command, ...] = (
    enhance,
    live,
    tracks,
    compare,
    doctor,
    models,
    export,
    bench,
    serve,
    plugin,
    ffmpeg_args,
    completion,
    prepare,
    harvest,
    train,
    evaluate,
    evaluate_tracking,
)

bench.add_command(bench_live)
bench.add_command(bench_networks)
bench.add_command(bench_plugin)
