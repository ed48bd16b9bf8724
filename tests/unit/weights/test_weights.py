import pickle
import struct
import time

import pytest
import torch
from safetensors.torch import save_file

from crsr_video import weights
from crsr_video.errors import WeightsError
from crsr_video.networks import Bicubic, IdentityConsistifier, SuperResolver
from crsr_video.weights import FORMAT, load
from tests.support.checkpoints import SR, C, networks, refused, tensors_of, write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "small.safetensors"


def test_a_checkpoint_comes_back_as_it_was(path):
    consistifier, superresolver = networks()
    pair = load(write(path))
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(pair.consistifier(x), consistifier(x))
    assert torch.equal(pair.superresolver(x), superresolver(x))
    assert pair.name == "small"
    assert pair.sha256 == weights.digest(path)


def test_loaded_networks_are_ready_to_run(path):
    pair = load(write(path))
    for network in (pair.consistifier, pair.superresolver):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())
        assert all(p.dtype == torch.float32 and not p.is_meta for p in network.parameters())


def test_half_precision_files_become_float32(path):
    consistifier, superresolver = networks()
    halves = {k: v.half() for k, v in tensors_of(consistifier, superresolver).items()}
    pair = load(write(path, tensors=halves))
    assert {p.dtype for p in pair.consistifier.parameters()} == {torch.float32}


def test_loading_survives_the_file_being_removed(path):
    pair = load(write(path))
    path.unlink()
    assert torch.isfinite(pair.superresolver(torch.rand(1, 3, 8, 8))).all()


def test_identity_needs_no_file():
    pair = load("identity")
    assert isinstance(pair.consistifier, IdentityConsistifier)
    assert isinstance(pair.superresolver, Bicubic)
    assert (pair.name, pair.sha256) == ("identity", "")


def test_unknown_names_are_reported_with_the_known_ones():
    message = refused("no-such-model")
    assert "no-such-model" in message
    assert "identity" in message


@pytest.mark.parametrize("name", ["missing.safetensors", "folder/missing", "folder/a.safetensors"])
def test_missing_files_are_reported(tmp_path, name):
    assert "cannot read" in refused(str(tmp_path / name))


def test_a_folder_is_no_checkpoint(tmp_path):
    refused(str(tmp_path))
    refused("")


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 5000 + ".safetensors", "a\0b"])
def test_impossible_names_are_reported(name):
    with pytest.raises(WeightsError):
        load(name)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\0" * 8,
        b"\0" * 1000,
        b"\xff" * 1000,
        b"not weights at all\n" * 50,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 8) + b"\xff" * 8,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    ],
    ids=repr,
)
def test_garbage_is_refused(path, content):
    path.write_bytes(content)
    refused(str(path))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_truncated_files_are_refused(path, share):
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "damaged" in refused(str(path))


def test_trailing_bytes_are_refused(path):
    write(path)
    path.write_bytes(path.read_bytes() + b"more")
    refused(str(path))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_are_refused_and_never_run(path, tmp_path, protocol):
    witness = tmp_path / "run"

    class Evil:
        def __reduce__(self):
            return open, (str(witness), "w")

    path.write_bytes(pickle.dumps(Evil(), protocol))
    assert "pickle" in refused(str(path))
    assert not witness.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_are_refused(path, zipped):
    torch.save(tensors_of(*networks()), path, _use_new_zipfile_serialization=zipped)
    assert "pickle" in refused(str(path))


def test_files_too_large_for_these_networks_are_refused_unread(path):
    with path.open("wb") as file:
        file.truncate(2**40)  # A sparse file, larger than any memory.
    assert "size" in refused(str(path))


@pytest.mark.parametrize("other", [None, "", "crsr-video/2", "pt"])
def test_other_formats_are_refused(path, other):
    assert FORMAT in refused(write(path, format=other))


def test_files_without_metadata_are_refused(path):
    save_file(tensors_of(*networks()), path)
    assert FORMAT in refused(str(path))


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        "",
        "{",
        "null",
        "3",
        "[4, 6, 8]",
        '"channels"',
        "[" * 20000,
        {"channels": [4, 6]},
        {"channels": []},
        {"channels": 4},
        {"channels": [0, 0, 0]},
        {"channels": [-4, 6, 8]},
        {"channels": [4.0, 6, 8]},
        {"channels": [True, 6, 8]},
        {"channels": ["4", 6, 8]},
        {"channels": [[4], 6, 8]},
        {"channels": None},
        {"channels": {"full": 4}},
        {"channels": [10**30, 6, 8]},
        {"channels": [5000, 6, 8]},
        {"middle": [1]},
        {"surprise": 1},
        {"self": 1},
    ],
    ids=lambda a: str(a)[:40],
)
@pytest.mark.parametrize("which", ["c", "sr"])
def test_wrong_constructor_arguments_are_refused(path, arguments, which):
    if isinstance(arguments, dict):
        arguments = (C if which == "c" else SR) | arguments
    if arguments is None:
        arguments = {"consistifier" if which == "c" else "superresolver": None}
        refused(write(path, **arguments))
    else:
        refused(write(path, **{which: arguments}))


@pytest.mark.parametrize("wrong", [{"down": []}, {"down": [1]}, {"up": 1}, {"up": [1]}])
def test_wrong_lists_of_blocks_are_refused(path, wrong):
    refused(write(path, sr=SR | wrong))


@pytest.mark.parametrize(
    "huge",
    [
        {"channels": [4096, 4096, 4096]},
        {"middle": 4096},
    ],
    ids=str,
)
def test_huge_networks_are_refused_quickly_and_without_memory(path, huge):
    """The file decides the size of the networks, so a small file could take minutes."""
    checkpoint = write(path, sr=SR | huge)
    begin = time.process_time()
    refused(checkpoint)
    assert time.process_time() - begin < 2


def test_missing_tensors_are_refused(path):
    tensors = tensors_of(*networks())
    del tensors["superresolver.head.bias"]
    assert "superresolver" in refused(write(path, tensors=tensors))


def test_surplus_tensors_are_refused(path):
    tensors = tensors_of(*networks()) | {"consistifier.extra": torch.zeros(1)}
    assert "consistifier" in refused(write(path, tensors=tensors))


def test_other_shapes_are_refused(path):
    tensors = tensors_of(*networks())
    tensors["consistifier.head.weight"] = torch.zeros(3, 4, 5, 5)
    assert "consistifier" in refused(write(path, tensors=tensors))


def test_arguments_of_a_larger_network_are_refused(path):
    assert "consistifier" in refused(write(path, c={"channels": [8, 6, 8], "middle": 1}))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("key", ["consistifier.stem.weight", "superresolver.head.bias"])
def test_values_that_are_not_finite_are_refused(path, key, value):
    tensors = tensors_of(*networks())
    tensors[key].view(-1)[0] = value
    assert "finite" in refused(write(path, tensors=tensors))


def test_a_super_resolver_may_come_alone(path):
    tensors = {k: v for k, v in tensors_of(*networks()).items() if k.startswith("superresolver.")}
    pair = load(write(path, tensors=tensors, consistifier=None))
    assert isinstance(pair.consistifier, IdentityConsistifier)
    assert "do not fit the consistifier" in refused(write(path, consistifier=None))


def test_the_texture_knob_scales_the_texture_head_alone(path):
    torch.manual_seed(5)
    superresolver = SuperResolver((4, 6, 8), (1, 1), 1, (1, 1), tail=4)
    torch.nn.init.normal_(superresolver.tail.last.weight, std=0.1)
    tensors = tensors_of(networks()[0], superresolver)
    pair = load(write(path, tensors=tensors, sr=SR | {"tail": 4}))
    picture = torch.rand(1, 3, 16, 16)
    plain, full, half = (pair.with_texture(s).superresolver(picture) for s in (0.0, 1.0, 0.5))
    assert pair.has_texture and pair.with_texture(0) is pair
    assert (full - plain).abs().max() > 1e-3
    assert torch.allclose(half, (plain + full) / 2, atol=1e-6)
    assert torch.equal(pair.superresolver(picture), plain)


def test_texture_of_weights_without_a_texture_head_changes_nothing(path):
    pair = load(write(path))
    assert not pair.has_texture and pair.with_texture(1.0) is pair
