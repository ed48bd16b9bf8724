"""Reports of finished runs: JSON for programs and one HTML page for people.

An `EnhancementObserver` gathers facts while frames pass, `assemble` adds facts about the files and
the machine, and `write` creates the files. ``docs/report-json.md`` documents the JSON.
"""

from crsr_video.report.document import assemble, check_paths, write
from crsr_video.report.facts import FORMAT, VERSION, Observations, RunReport
from crsr_video.report.media import describe, describe_live
from crsr_video.report.observations import merge, renumber
from crsr_video.report.observer import EnhancementObserver

__all__ = [
    "FORMAT",
    "VERSION",
    "EnhancementObserver",
    "Observations",
    "RunReport",
    "assemble",
    "check_paths",
    "describe",
    "describe_live",
    "merge",
    "renumber",
    "write",
]
