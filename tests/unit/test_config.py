import pydoc
from dataclasses import FrozenInstanceError, fields, replace
from fractions import Fraction
from pathlib import Path

import pytest

from crsr_video.config import (
    Config,
    EnhancerConfig,
    FaceSettings,
    JobSettings,
    NetworkSettings,
    OutputSettings,
    PersonSettings,
    ReadSettings,
)
from crsr_video.errors import ConfigError
from crsr_video.keyword_settings import FileKeywords, FrameKeywords
from crsr_video.parsing import parse_people

GROUPS = {"faces", "networks", "reading", "output", "job"}
NAN, INFINITE = float("nan"), float("inf")


def test_the_defaults_are_allowed():
    assert Config() == Config(output=OutputSettings(), faces=FaceSettings())


@pytest.mark.parametrize(
    "good",
    [
        {"scale": 2},
        {"scale": 4},
        {"strength": 0},
        {"strength": 1},
        {"min_face": 0},
        {"max_faces": 1},
        {"people": {1: PersonSettings(strength=0)}, "only": frozenset((1, 2))},
        {"start": 3.5, "duration": 0.01},
        {"on_error": "passthrough"},
        {"precision": "bf16"},
        {"threads": 1},
        {"output": OutputSettings(crf=0)},
        {"output": OutputSettings(bitrate=1)},
    ],
    ids=str,
)
def test_sensible_values_are_allowed(good):
    options = Config.from_options(**good).options()
    assert {name: options.get(name, value) for name, value in good.items()} == good


@pytest.mark.parametrize(
    "bad",
    [
        {"scale": 0},
        {"scale": 3},
        {"scale": -1},
        {"scale": 1.5},
        {"strength": -0.01},
        {"region": "hair"},
        {"strength": 1.01},
        {"strength": NAN},
        {"texture": 1.5},
        {"min_face": -1},
        {"min_face": NAN},
        {"min_face": INFINITE},
        {"max_faces": 0},
        {"people": {0: PersonSettings()}},
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
        {"threads": 0},
        {"restart": True},
        {"upscaler": "magic"},
        {"background": "magic"},
        {"background": "clean", "scale": 2},
        {"background": "restore", "scale": 2, "upscaler": "cubic"},
    ],
    ids=str,
)
def test_impossible_values_are_refused_in_one_line_that_names_the_argument(bad):
    with pytest.raises(ConfigError) as caught:
        Config.from_options(**bad)
    assert "\n" not in str(caught.value)
    assert f"`{next(iter(bad))}`" in str(caught.value)


def test_unknown_settings_are_refused_with_those_that_exist():
    with pytest.raises(ConfigError, match=r"unknown setting 'strenght': .* choose from .*strength"):
        Config.from_options(strenght=1)


def test_settings_of_files_are_unknown_to_an_enhancer():
    with pytest.raises(ConfigError, match="unknown setting 'overwrite'"):
        EnhancerConfig.from_options(overwrite=True)


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
def test_impossible_settings_of_a_person_are_refused(strength):
    with pytest.raises(ConfigError, match="strength"):
        PersonSettings(strength=strength)


def test_changed_copies_are_checked_too():
    with pytest.raises(ConfigError):
        replace(Config(), scale=3)
    with pytest.raises(ConfigError):
        Config().with_options(strength=2)


def test_a_copy_keeps_the_settings_that_are_not_named():
    config = Config.from_options(strength=0.5, model="identity", overwrite=True)
    changed = config.with_options(min_face=20.0, scale=2)
    assert changed.faces == FaceSettings(strength=0.5, min_face=20.0)
    assert (changed.scale, changed.networks.model, changed.job.overwrite) == (2, "identity", True)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Config().scale = 2


def test_settings_are_given_by_name():
    with pytest.raises(TypeError):
        Config(2)


def test_upscalers_are_named_or_functions():
    assert Config(upscaler="cubic").upscaler == "cubic"
    assert callable(Config(upscaler=lambda picture, _: picture).upscaler)
    with pytest.raises(ConfigError, match="`upscaler` must be lanczos or cubic, or a function"):
        Config(upscaler="magic")
    with pytest.raises(ConfigError, match="requires a named `upscaler`"):
        Config.from_options(upscaler=lambda picture, _: picture, resume=True)


@pytest.mark.parametrize(
    "group",
    [
        *(Config, EnhancerConfig, FaceSettings, JobSettings, NetworkSettings, OutputSettings),
        *(PersonSettings, ReadSettings),
    ],
)
def test_help_documents_every_setting(group):
    text = pydoc.plain(pydoc.render_doc(group))
    for setting in fields(group):
        assert f"{setting.name}: " in text


def test_without_a_choice_all_people_are_enhanced():
    assert parse_people("  ; ") == ({}, None)


def test_settings_and_lists_of_people_mix():
    people, only = parse_people("1,4-6; 2=off 3,5=strength:0.25")
    assert only == {1, 4, 5, 6}
    assert people == {
        2: PersonSettings(enabled=False),
        3: PersonSettings(strength=0.25),
        5: PersonSettings(strength=0.25),
    }


def test_a_colon_replaces_the_equals_sign_that_editors_reserve():
    assert parse_people("2:off;3,5:strength:0.25 1") == parse_people("2=off;3,5=strength:0.25 1")


@pytest.mark.parametrize(
    "text",
    [
        *("x", "0", "1-", "6-1", "1,,2", "1-999999999", "²"),
        *("1=", "1=loud", "1=strength:2", "1=strength:nan", "1=off 1=on", "=off", "1=off:2"),
        *("1:", "1:loud", "1:strength", "1:off=2", ":off", "1:off 1=on"),
    ],
)
def test_other_choices_of_people_are_refused(text):
    with pytest.raises(ConfigError, match=r"^persons: [^\n]+$"):
        parse_people(text)


@pytest.mark.parametrize(
    ("keywords", "kind"), [(FrameKeywords, EnhancerConfig), (FileKeywords, Config)]
)
def test_every_keyword_is_a_setting_and_every_setting_a_keyword(keywords, kind):
    groups = {group.name: group.default_factory for group in fields(kind)}
    groups = {name: made for name, made in groups.items() if name in GROUPS}
    names = [item.name for made in groups.values() for item in fields(made)]
    once = {name for name in names if names.count(name) == 1}
    own = {item.name for item in fields(kind)} - set(groups)
    needs_file = {"tracks"} if kind is EnhancerConfig else set()
    assert keywords.__annotations__.keys() == (once | own) - needs_file


@pytest.mark.parametrize(
    ("given", "group", "value"),
    [
        ({"only": 2}, "faces", frozenset((2,))),
        ({"only": [1, 4]}, "faces", frozenset((1, 4))),
        ({"tracks": "a.tracks.json"}, "faces", Path("a.tracks.json")),
        ({"report": "a.html"}, "job", (Path("a.html"),)),
        ({"report": ["a.html", Path("a.json")]}, "job", (Path("a.html"), Path("a.json"))),
        ({"rate": 29.5}, "reading", Fraction(59, 2)),
        ({"crf": 18}, "output", 18),
        ({"codec": "h265"}, "output", "h265"),
    ],
)
def test_settings_of_all_groups_are_given_by_name_in_usual_types(given, group, value):
    (name,) = given
    assert getattr(getattr(Config.from_options(**given), group), name) == value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"strength": "60%"}, "`strength` must lie between 0 and 1, but is '60%'"),
        ({"texture": None}, "`texture` must lie between 0 and 1, but is None"),
        ({"start": "0:12"}, "`start` must be zero or a positive number, but is '0:12'"),
        ({"crf": "high"}, "`crf` must be zero or a positive number, but is 'high'"),
        ({"max_faces": "two"}, "`max_faces` must be at least 1, but is 'two'"),
        ({"scale": "2x"}, "`scale` must be 1, 2 or 4, but is 2x"),
        ({"strenght": 1}, "unknown setting 'strenght': did you mean 'strength'?"),
        ({"options": {}}, "unknown setting 'options'"),
    ],
)
def test_values_of_a_wrong_type_are_refused_by_the_name_of_the_argument(given, message):
    with pytest.raises(ConfigError) as caught:
        Config.from_options(**given)
    assert str(caught.value).startswith(message)
