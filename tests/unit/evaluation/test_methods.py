import pytest

from crsr_video.errors import ConfigError
from crsr_video.evaluation.methods import Variant, parse_variant, variants


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fast", Variant("fast", "fast")),
        ("fast:psi", Variant("fast:psi", "fast", alone=True)),
        ("a/b.safetensors:texture=0.5:psi", Variant(
            "a/b.safetensors:texture=0.5:psi", "a/b.safetensors", alone=True, texture=0.5)),
        ("C:/w.safetensors", Variant("C:/w.safetensors", "C:/w.safetensors")),
    ],
)  # fmt: skip
def test_models_are_parsed_with_options(text: str, expected: Variant) -> None:
    assert parse_variant(text) == expected


@pytest.mark.parametrize("text", ["fast:texture=2", "fast:texture=much", "fast:texture="])
def test_texture_must_be_from_0_to_1(text: str) -> None:
    with pytest.raises(ConfigError, match="from 0 to 1"):
        parse_variant(text)


def test_names_are_short_unless_equal() -> None:
    found = variants(["a/one.safetensors:psi", "b/two.safetensors", "fast"])
    assert list(found) == ["one:psi", "two", "fast"]
    found = variants(["a/one.safetensors", "b/one.safetensors"])
    assert list(found) == ["a/one.safetensors", "b/one.safetensors"]
    with pytest.raises(ConfigError, match="named twice"):
        variants(["fast", "fast"])


def test_a_variant_loads_its_networks() -> None:
    assert parse_variant("identity:texture=0.5").pair().name == "identity"
