from dataclasses import FrozenInstanceError, replace

import pytest

from crsr_video.config import Config, FaceSettings, OutputSettings
from crsr_video.errors import ConfigError

NAN, INFINITE = float("nan"), float("inf")


def test_the_defaults_are_allowed():
    assert Config() == Config(output=OutputSettings())


@pytest.mark.parametrize(
    "good",
    [
        {"scale": 2},
        {"scale": 4},
        {"strength": 0},
        {"strength": 1},
        {"min_face": 0},
        {"max_faces": 1},
        {"faces": {1: FaceSettings(strength=0)}, "only": frozenset((1, 2))},
        {"start": 3.5, "duration": 0.01},
        {"on_error": "passthrough"},
        {"precision": "bf16"},
        {"output": OutputSettings(crf=0)},
        {"output": OutputSettings(bitrate=1)},
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
        {"min_face": float("inf")},
        {"max_faces": 0},
        {"faces": {0: FaceSettings()}},
        {"only": frozenset((-1,))},
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
        OutputSettings(**bad)


@pytest.mark.parametrize("strength", [-0.1, 1.5, NAN])
def test_impossible_settings_of_a_face_are_refused(strength):
    with pytest.raises(ConfigError, match="strength"):
        FaceSettings(strength=strength)


def test_changed_copies_are_checked_too():
    with pytest.raises(ConfigError):
        replace(Config(), strength=2)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Config().scale = 2


def test_options_are_given_by_name():
    with pytest.raises(TypeError):
        Config(2)


def test_upscalers_are_named_or_functions():
    assert Config(upscaler="cubic").upscaler == "cubic"
    assert callable(Config(upscaler=lambda picture, _: picture).upscaler)
    with pytest.raises(ConfigError, match="upscaler must be lanczos or cubic, or a function"):
        Config(upscaler="magic")
    with pytest.raises(ConfigError, match="by its name only"):
        Config(upscaler=lambda picture, _: picture, resume=True)
