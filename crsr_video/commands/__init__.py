"""The subcommands, one module each; none imports anything heavy before it runs."""

import click

from crsr_video.commands.compare import compare
from crsr_video.commands.completion import completion
from crsr_video.commands.doctor import doctor
from crsr_video.commands.enhance import enhance
from crsr_video.commands.models import models
from crsr_video.commands.research import evaluate, harvest, prepare, train
from crsr_video.commands.tracking import evaluate_tracking
from crsr_video.commands.tracks import tracks

ALL: tuple[click.Command, ...] = (
    enhance,
    tracks,
    compare,
    doctor,
    models,
    completion,
    prepare,
    harvest,
    train,
    evaluate,
    evaluate_tracking,
)
