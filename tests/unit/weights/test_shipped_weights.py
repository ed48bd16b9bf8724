"""Weights in the package, and ranges for int8 beside weights."""

import json

import pytest
import torch

from crsr_video import weights
from crsr_video.networks import SuperResolver
from crsr_video.networks.plan import run_steps
from crsr_video.networks.quantised import RangeObserver
from crsr_video.weights import load
from tests.support.checkpoints import SR, C, networks, refused, tensors_of, write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "small.safetensors"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty folder in place of the package's folder of weights."""
    monkeypatch.setattr("crsr_video.weights.loader.package_folder", lambda: tmp_path)
    return tmp_path


def test_shipped_weights_are_found_by_name(folder):
    write(folder / "tiny.safetensors")
    digest = weights.digest(folder / "tiny.safetensors")
    (folder / "SHA256.json").write_text(json.dumps({"tiny": digest}))
    assert load("tiny").name == "tiny"
    assert [w.name for w in weights.shipped()] == ["tiny"]
    assert weights.shipped()[0].card == folder / "tiny.md"


def test_shipped_weights_that_differ_from_the_list_are_refused(folder):
    write(folder / "tiny.safetensors")
    (folder / "SHA256.json").write_text(json.dumps({"tiny": "0" * 64}))
    assert "damaged" in refused("tiny")


@pytest.mark.parametrize("content", [None, "", "{", "\xff"])
def test_a_damaged_list_of_shipped_weights_is_reported(folder, content):
    if content is not None:
        (folder / "SHA256.json").write_bytes(content.encode("latin1"))
    refused("tiny")


def test_every_shipped_checkpoint_is_there_with_its_card_and_loads():
    for shipped in weights.shipped():
        assert shipped.card.is_file(), shipped.name
        assert weights.digest(shipped.path) == shipped.sha256
        pair = load(shipped.name)
        with torch.inference_mode():
            output = pair.superresolver(pair.consistifier(torch.full((1, 3, 32, 32), 0.5)))
        assert output.shape == (1, 3, 128, 128)
        assert torch.isfinite(output).all()


def test_the_background_weights_are_there_with_their_card_and_load():
    shipped = weights.background()
    assert shipped.card.is_file()
    assert shipped.sha256 in shipped.card.read_text()
    assert shipped.name not in [found.name for found in weights.shipped()]
    with torch.inference_mode():
        output = weights.load_background()(torch.full((1, 3, 16, 16), 0.5), 4)
    assert output.shape == (1, 3, 64, 64)
    assert (output - 0.5).abs().max() < 0.05


def test_ranges_of_shipped_weights_are_those_of_their_networks():
    """Without measured ranges, weights would silently run at half the speed."""
    shipped = {item.sha256: item for item in weights.shipped()}
    measured = json.loads(weights.ranges_file(weights.shipped()[0].path).read_text())
    assert set(measured) <= set(shipped), "ranges of weights that are not shipped any more"
    assert load(weights.FAST).sha256 in measured, "measure it: see crsr_video.training.calibration"
    for sha256 in measured:
        pair = load(shipped[sha256].name)
        assert pair.eight_bits
        textured = pair.with_texture(1.0)
        for network in (textured.consistifier, textured.superresolver):
            observer = RangeObserver(network)
            with torch.inference_mode():
                run_steps(network, observer, torch.rand(1, 3, 16, 16))
            assert set(network.ranges) == set(observer.ranges)


def test_model_cards_are_right_about_int8():
    for item in weights.shipped():
        claimed = "\n- int8: measured" in item.card.read_text()
        assert claimed == load(item.name).eight_bits, item.name


def ranges_beside(path, content):
    file = weights.ranges_file(path)
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def test_ranges_of_own_weights_are_read_from_the_list_beside_them(path):
    write(path)
    assert not load(str(path)).eight_bits
    sha256 = weights.digest(path)
    both = {"consistifier": {"stem": [-1, 2]}, "superresolver": {"stem": [0.0, 1.5]}}
    ranges_beside(path, {sha256: both, "of another": {}})
    pair = load(str(path))
    assert pair.eight_bits
    assert pair.superresolver.ranges == {"stem": (0.0, 1.5)}
    ranges_beside(path, {"of another": both})
    assert not load(str(path)).eight_bits


@pytest.mark.parametrize(
    "own",
    [
        [1, 2],
        {"superresolver": {"stem": [1.0]}},
        {"superresolver": {"stem": [1.0, 0.5]}},
        {"superresolver": {"stem": [0.0, float("inf")]}},
        {"superresolver": {"stem": [float("nan"), 1.0]}},
        {"superresolver": {"stem": [0, 10**400]}},
        {"superresolver": {"stem": "ab"}},
    ],
)
def test_damaged_ranges_are_reported(path, own):
    write(path)
    ranges_beside(path, {weights.digest(path): own})
    assert "ranges.json" in refused(str(path))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_list_of_ranges_is_reported(path, content):
    write(path)
    ranges_beside(path, content)
    assert "ranges.json" in refused(str(path))


def test_ranges_of_the_networks_for_full_texture_serve_every_share_above_zero(path):
    first, second = networks()
    third = SuperResolver((4, 6, 8), (1, 1), 1, (1, 1), tail=4)
    textured = {f"textured.{k}": v.clone() for k, v in tensors_of(first, third).items()}
    described = {"consistifier": C, "superresolver": SR | {"tail": 4}}
    sizes = {f"textured.{name}": json.dumps(size) for name, size in described.items()}
    write(path, tensors=tensors_of(first, second) | textured, **sizes)
    measured = {name: {"stem": [0, 9]} for name in described}
    measured |= {f"textured.{name}": {"stem": [-1, 9]} for name in described}
    ranges_beside(path, {weights.digest(path): measured})
    pair = load(str(path))
    assert pair.superresolver.ranges == {"stem": (0.0, 9.0)}
    for share in (0.1, 1.0):
        mixed = pair.with_texture(share)
        assert mixed.eight_bits
        assert mixed.consistifier.ranges == mixed.superresolver.ranges == {"stem": (-1.0, 9.0)}
