"""Readable times and counts."""

import pytest

from crsr_video.formatting import format_bytes, format_count, format_time, markdown_table


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00.0"),
        (59.96, "1:00.0"),
        (61.25, "1:01.2"),
        (3723.04, "1:02:03.0"),
        (-1.5, "-0:01.5"),
        (-0.01, "0:00.0"),
    ],
)
def test_times_have_minutes_and_tenths(seconds: float, text: str) -> None:
    assert format_time(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 frames"), (1, "1 frame"), (12345, "12,345 frames")]
)
def test_counts_have_the_right_plural(number: int, text: str) -> None:
    assert format_count(number, "frame") == text


def test_people_have_a_plural_of_their_own():
    assert (format_count(1, "person"), format_count(2, "person")) == ("1 person", "2 people")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (145_138, "145 kB"),
        (999_600, "1.0 MB"),
        (2_714_086, "2.7 MB"),
        (3_200_000_000, "3.2 GB"),
    ],
)
def test_sizes_have_units(size, text):
    assert format_bytes(size) == text


def test_words_are_aligned_left_and_numbers_right() -> None:
    assert markdown_table(["name", "fps"], [["a", "1.5"], ["longer", "10.25"]]) == (
        "| name   |   fps |\n| ------ | ----: |\n| a      |   1.5 |\n| longer | 10.25 |"
    )


def test_narrow_columns_still_have_a_rule() -> None:
    assert markdown_table(["a", "b"], [], {0, 1}) == "| a   | b   |\n| --- | --- |"
