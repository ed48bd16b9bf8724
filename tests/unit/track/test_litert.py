import subprocess
import sys

import pytest

from crsr_video.errors import FaceModelError
from crsr_video.track.litert import LiteRtModel
from tests.support.face_models import face_model


def test_the_landmark_model_has_the_expected_outputs():
    model = LiteRtModel(face_model("landmarks"))
    assert model.output_shapes == {(1, 1, 1, 468 * 3), (1, 1, 1, 1)}
    model.close()


def test_a_broken_file_is_an_error(tmp_path):
    broken = tmp_path / "face.tflite"
    broken.write_bytes(b"\x1c\0\0\0TFL3" + bytes(60))
    with pytest.raises(FaceModelError, match=r"face\.tflite cannot be run"):
        LiteRtModel(broken)


@pytest.mark.usefixtures("face_models")
def test_a_prepared_process_writes_nothing_when_models_load():
    code = (
        "import sys\n"
        "from crsr_video.track import face_models, litert\n"
        "litert.prepare_process()\n"
        "sys.stderr.write('still here')\n"
        "for path in face_models.resolve_all(): litert.LiteRtModel(path)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "still here")
