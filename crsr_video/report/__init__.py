"""What a run did, told in full: as JSON for programs, and as one HTML page for people.

An `Observer` gathers facts while frames pass, `assemble` puts them beside what is known of the
files and of the machine, and `write` makes the files. The JSON is described in ``format.md``.
"""

from crsr_video.report.document import assemble
from crsr_video.report.facts import FORMAT, VERSION, Report, Seen
from crsr_video.report.media import describe, describe_feed
from crsr_video.report.merging import as_record, from_record, merged, renumbered
from crsr_video.report.observe import Observer
from crsr_video.report.writing import check, write

__all__ = [
    "FORMAT",
    "VERSION",
    "Observer",
    "Report",
    "Seen",
    "as_record",
    "assemble",
    "check",
    "describe",
    "describe_feed",
    "from_record",
    "merged",
    "renumbered",
    "write",
]
