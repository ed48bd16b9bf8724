from dataclasses import FrozenInstanceError, replace

import pytest

from crsr_video.config import Config, EncodeSettings
from crsr_video.errors import ConfigError

NAN, INFINITE = float("nan"), float("inf")


def test_the_defaults_are_allowed():
    assert Config() == Config(encode=EncodeSettings())


@pytest.mark.parametrize(
    "good",
    [
        {"scale": 2},
        {"scale": 4},
        {"strength": 0},
        {"strength": 1},
        {"min_face": 0},
        {"start": 3.5, "duration": 0.01},
        {"on_error": "passthrough"},
        {"precision": "bf16"},
        {"encode": EncodeSettings(crf=0)},
        {"encode": EncodeSettings(bitrate=1)},
    ],
)
def test_sensible_values_are_allowed(good):
    Config(**good)


@pytest.mark.parametrize(
    "bad",
    [
        {"scale": 0},
        {"scale": 3},
        {"scale": -1},
        {"scale": 1.5},
        {"strength": -0.01},
        {"strength": 1.01},
        {"strength": NAN},
        {"min_face": -1},
        {"min_face": NAN},
        {"start": -0.1},
        {"start": NAN},
        {"start": INFINITE},
        {"duration": 0},
        {"duration": -2},
        {"duration": NAN},
        {"duration": INFINITE},
        {"on_error": "ignore"},
        {"precision": "fp64"},
    ],
    ids=str,
)
def test_impossible_values_are_refused_in_one_line(bad):
    with pytest.raises(ConfigError) as caught:
        Config(**bad)
    assert "\n" not in str(caught.value)
    assert next(iter(bad)).replace("_", "-") in str(caught.value).replace("_", "-")


@pytest.mark.parametrize(
    "bad",
    [
        {"crf": -1},
        {"crf": NAN},
        {"crf": INFINITE},
        {"bitrate": 0},
        {"bitrate": -5},
        {"crf": 20, "bitrate": 1000},
    ],
    ids=str,
)
def test_impossible_encoder_settings_are_refused(bad):
    with pytest.raises(ConfigError):
        EncodeSettings(**bad)


def test_changed_copies_are_checked_too():
    with pytest.raises(ConfigError):
        replace(Config(), strength=2)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Config().scale = 2


def test_options_are_given_by_name():
    with pytest.raises(TypeError):
        Config(2)
