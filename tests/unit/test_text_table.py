"""Markdown tables that are readable as text."""

from crsr_video.text_table import markdown_table


def test_words_are_aligned_left_and_numbers_right() -> None:
    assert markdown_table(["name", "fps"], [["a", "1.5"], ["longer", "10.25"]]) == (
        "| name   |   fps |\n| ------ | ----: |\n| a      |   1.5 |\n| longer | 10.25 |"
    )


def test_narrow_columns_still_have_a_rule() -> None:
    assert markdown_table(["a", "b"], [], {0, 1}) == "| a   | b   |\n| --- | --- |"
