"""The effect in GStreamer, as the element frei0r-filter-crsr."""

import numpy as np
import pytest

import tests.support.server as server_helpers
from crsr_video.server import Client, EffectFlag, EffectSettings
from tests.integration.plugins import clips
from tests.integration.plugins.conftest import needs

pytestmark = [pytest.mark.plugins, needs("gst-launch-1.0")]

COUNT = 6
PARSE = "rawvideoparse format=rgba width=320 height=240 framerate=25/1"


@pytest.fixture
def environment(effect, tmp_path):
    """Return an environment in which GStreamer scans its plugins again."""
    return effect | {"GST_REGISTRY": str(tmp_path / "registry")}


@pytest.fixture
def pictures():
    return [server_helpers.portrait(4.0 * number) for number in range(COUNT)]


def launch(pipeline, environment):
    """Run a pipeline to its end, and return what it wrote on standard error."""
    words = ["gst-launch-1.0", "--quiet", *pipeline.split()]
    return clips.run(words, env=environment).stderr


def enhanced(tmp_path, pictures, environment, element="frei0r-filter-crsr"):
    """Return raw frames that passed through the element."""
    source, output = tmp_path / "in.rgba", tmp_path / "out.rgba"
    source.write_bytes(b"".join(picture.tobytes() for picture in pictures))
    ends = f"filesrc location={source} ! {PARSE}", f"filesink location={output}"
    assert launch(f"{ends[0]} ! {element} ! {ends[1]}", environment) == ""
    return np.frombuffer(output.read_bytes(), np.uint8).reshape(-1, *pictures[0].shape)


def by_client(server, settings, pictures):
    with Client(settings, path=server.socket, command=()) as client:
        return [client.enhance(picture) for picture in pictures]


def test_frames_are_those_of_a_client_that_sends_them_in_order(
    tmp_path, pictures, environment, server
):
    found = enhanced(tmp_path, pictures, environment)
    in_order = by_client(server, EffectSettings(flags=EffectFlag.ORDERED), pictures)
    assert np.array_equal(found, in_order)
    assert not np.array_equal(found, by_client(server, EffectSettings(), pictures))
    assert (found[-1] != pictures[-1]).any()


def test_properties_are_the_parameters_of_the_effect(tmp_path, pictures, environment, server):
    element = "frei0r-filter-crsr strength=0.5 min-face=0.125 compare=true"
    found = enhanced(tmp_path, pictures, environment, element)
    flags = EffectFlag.ORDERED | EffectFlag.COMPARE
    assert np.array_equal(found, by_client(server, EffectSettings(0.5, 32.0, flags), pictures))


def test_an_encoded_file_keeps_its_frames_and_their_times(tmp_path, environment):
    source = clips.write(tmp_path / "in.mkv", clips.portrait(COUNT))
    output = tmp_path / "out.mkv"
    convert = "videoconvert ! frei0r-filter-crsr ! videoconvert"
    said = launch(
        f"filesrc location={source} ! matroskademux ! avdec_ffv1 ! {convert} ! "
        f"avenc_ffv1 ! matroskamux ! filesink location={output}",
        environment,
    )
    assert said == ""
    assert len(clips.read(output)) == COUNT
    assert clips.times(output) == clips.times(source)
