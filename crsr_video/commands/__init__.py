"""The subcommands, one module each; none imports anything heavy before it runs."""

import click

from crsr_video.commands.compare import compare
from crsr_video.commands.completion import completion
from crsr_video.commands.doctor import doctor
from crsr_video.commands.enhance import enhance
from crsr_video.commands.models import models
from crsr_video.commands.research import evaluate, harvest, prepare, train

ALL: tuple[click.Command, ...] = (
    enhance,
    compare,
    doctor,
    models,
    completion,
    prepare,
    harvest,
    train,
    evaluate,
)
