import pytest

from crsr_video.config import FaceSettings
from crsr_video.errors import ConfigError
from crsr_video.server.persons import parse


def test_nothing_chosen_is_everybody():
    found = parse("  ; ")
    assert found.faces == {}
    assert found.only is None


def test_words_mix():
    found = parse("1,4-6; 2=off 3,5=strength:0.25")
    assert found.only == {1, 4, 5, 6}
    assert found.faces == {
        2: FaceSettings(enabled=False),
        3: FaceSettings(strength=0.25),
        5: FaceSettings(strength=0.25),
    }


def test_a_colon_stands_for_the_sign_that_editors_take_for_themselves():
    assert parse("2:off;3,5:strength:0.25 1") == parse("2=off;3,5=strength:0.25 1")


@pytest.mark.parametrize(
    "text",
    [
        *("x", "0", "1-", "6-1", "1,,2", "1-999999999", "²"),
        *("1=", "1=loud", "1=strength:2", "1=strength:nan", "1=off 1=on", "=off", "1=off:2"),
        *("1:", "1:loud", "1:strength", "1:off=2", ":off", "1:off 1=on"),
    ],
)
def test_other_words_are_refused(text):
    with pytest.raises(ConfigError, match=r"^persons: [^\n]+$"):
        parse(text)
