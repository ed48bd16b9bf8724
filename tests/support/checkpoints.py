"""Checkpoints of tiny networks."""

import json

import pytest
import torch
from safetensors.torch import save_file

from crsr_video.errors import WeightsError
from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.weights import FORMAT, load

C = {"channels": [4, 6, 8], "middle": 1}
SR = {"channels": [4, 6, 8], "down": [1, 1], "middle": 1, "up": [1, 1]}


def networks():
    torch.manual_seed(7)
    pair = Consistifier((4, 6, 8), 1), SuperResolver((4, 6, 8), (1, 1), 1, (1, 1))
    for network in pair:
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return pair


def tensors_of(consistifier, superresolver):
    return {
        f"{prefix}.{key}": value.contiguous()
        for prefix, network in (("consistifier", consistifier), ("superresolver", superresolver))
        for key, value in network.state_dict().items()
    }


def write(path, *, tensors=None, c=C, sr=SR, **metadata):
    described = {
        "format": FORMAT,
        "consistifier": c if isinstance(c, str) else json.dumps(c),
        "superresolver": sr if isinstance(sr, str) else json.dumps(sr),
    } | metadata
    kept = {key: value for key, value in described.items() if value is not None}
    save_file(tensors or tensors_of(*networks()), path, kept or None)
    return str(path)


def refused(model):
    with pytest.raises(WeightsError) as caught:
        load(model)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert len(message) < 500
    return message
