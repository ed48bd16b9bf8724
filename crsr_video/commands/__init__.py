"""The subcommands, one module each; none imports anything heavy before it runs."""

import click

from crsr_video.commands.bench import bench
from crsr_video.commands.bench_live import bench_live
from crsr_video.commands.bench_networks import bench_networks
from crsr_video.commands.bench_plugin import bench_plugin
from crsr_video.commands.compare import compare
from crsr_video.commands.completion import completion
from crsr_video.commands.doctor import doctor
from crsr_video.commands.enhance import enhance
from crsr_video.commands.export import export
from crsr_video.commands.ffmpeg_args import ffmpeg_args
from crsr_video.commands.live import live
from crsr_video.commands.models import models
from crsr_video.commands.plugin import plugin
from crsr_video.commands.research import evaluate, harvest, prepare, train
from crsr_video.commands.serve import serve
from crsr_video.commands.tracking import evaluate_tracking
from crsr_video.commands.tracks import tracks

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
