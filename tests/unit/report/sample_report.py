"""A made-up report with flat pictures and malicious names."""

from dataclasses import replace
from functools import cache

import numpy as np

from crsr_video.report.facts import (
    BackedOff,
    Curve,
    Flicker,
    FrameFacts,
    IdentitySimilarity,
    Masks,
    MediaFacts,
    PersonFacts,
    Picture,
    RunReport,
    StreamFacts,
    VisibleSpan,
)
from crsr_video.report.measurements import encode_jpeg

EVIL = "<img src=x onerror=alert(1)>\"'&<script>alert(2).mp4"
BEFORE, AFTER = (200, 30, 30), (30, 60, 200)
"""RGB colours of the pictures."""


@cache
def flat(colour, side=64):
    return encode_jpeg(np.full((side, side, 3), colour, np.uint8))


def person(number, **fields):
    seconds = tuple(n / 10 for n in range(40))
    facts = PersonFacts(
        id=number,
        tracks=(number,),
        frames=100 - number,
        enhanced=80,
        first_seconds=0.0,
        last_seconds=4.0,
        size_median=48.0,
        size_min=40.5,
        size_max=61.0,
        strength_mean=0.9,
        strength_min=0.2,
        strength_max=1.0,
        backed_off=BackedOff(12, 0.1, 0.4, "drift"),
        identity=IdentitySimilarity(3, 0.97, 0.95, 0.96, 0.98),
        flicker=Flicker(8, 1.5, 1.25),
        skipped={"not seen clearly": 7},
        spans=(VisibleSpan(0.0, 2.0, True), VisibleSpan(2.0, 4.0, False)),
        curves={
            "size": Curve(seconds, tuple(40.0 + n for n in range(40))),
            "strength": Curve(seconds, (1.0,) * 40),
            "flicker_before": Curve(seconds, (1.5,) * 40),
            "flicker_after": Curve(seconds, (1.25,) * 40),
        },
        pictures=(Picture(1.0, flat(BEFORE), flat(AFTER)),),
    )
    return replace(facts, **fields)


def report(people=3, **fields):
    streams = (
        StreamFacts(0, "video", "h264", "", True, True),
        StreamFacts(1, "audio", "aac", EVIL, False),
    )
    colour = {"primaries": "bt709", "transfer": "bt709", "matrix": "bt709", "range": "mpeg"}
    media = MediaFacts(
        f"/films/{EVIL}",
        123456,
        "mp4",
        4.0,
        "h264",
        640,
        360,
        25.0,
        246912,
        "yuv420p",
        colour,
        streams,
    )
    facts = RunReport(
        created="2024-02-29T12:00:00+00:00",
        complete=True,
        command=("crsr-video", "enhance", EVIL),
        settings={"scale": 1, "faces": {}, "output": {"codec": EVIL}},
        versions={"crsr-video": "0", "torch": "2"},
        hashes={"weights fast": "00" * 32},
        device="cpu",
        precision="fp32",
        source=media,
        output=media,
        frames=FrameFacts(100, 90, 0, 0, 0, 0, False),
        faces=300,
        enhanced=240,
        skipped={"not seen clearly": 21},
        masks=Masks(9, 0.05, 0.07),
        seconds=12.0,
        startup_seconds=1.0,
        fps=9.1,
        stages={"decode": 1.0, "track": 2.5},
        cuts=(2.0,),
        people=tuple(person(number) for number in range(1, people + 1)),
        people_left_out=0,
        notices=(EVIL,),
    )
    return replace(facts, **fields)
