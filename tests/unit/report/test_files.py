"""Report files: requested on the command line, complete or absent, and safe to open."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import crsr_video
from crsr_video import Config
from crsr_video.errors import ConfigError, OutputError
from crsr_video.report import FORMAT, VERSION, write
from crsr_video.report.document import as_json, check_paths
from crsr_video.report.page import as_html
from tests.support.cli import run
from tests.support.face_models import require_face_models
from tests.support.paths import PORTRAIT
from tests.support.video import make_video
from tests.unit.report.sample_report import EVIL, report

NAME = "<img src=x onerror=alert(1)>.mp4"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on a clip with a malicious name, and its two reports."""
    require_face_models()
    folder = tmp_path_factory.mktemp("reports")
    clip = shutil.copy(PORTRAIT, folder / NAME)
    words = ["--duration", "1", "--preset", "ultrafast", "--model", "identity"]
    reports = ["--report", folder / "report.json", "--report", folder / "report.HTML"]
    result = run("enhance", clip, "-o", folder / "out.mp4", *words, *reports)
    assert result.exit_code == 0, result.stderr
    return folder, result


def test_the_json_describes_the_run(made):
    folder, result = made
    facts = json.loads((folder / "report.json").read_text("ascii"))
    assert (facts["format"], facts["version"], facts["complete"]) == (FORMAT, VERSION, True)
    assert facts["source"]["path"] == str(folder / NAME)
    assert facts["output"]["bytes"] == (folder / "out.mp4").stat().st_size
    assert all(stream["kept"] for stream in facts["source"]["streams"])
    (track,) = facts["people"]
    assert track["frames"] == track["enhanced"] == facts["frames"]["total"] == facts["faces"]
    assert facts["frames"]["changed"] == facts["frames"]["total"]
    assert 0 < facts["masks"]["mean"] <= facts["masks"]["highest"] < 1
    assert track["flicker"]["pairs"] >= 2
    assert 0 < track["flicker"]["after"] < 1.2 * track["flicker"]["before"]
    assert "pictures" not in track
    assert {"decode", "track", "paste", "encode", "report"} <= facts["stages"].keys()
    assert facts["settings"]["output"]["preset"] == "ultrafast"
    assert {"crsr-video", "torch", "av", "numpy", "ai-edge-litert"} <= facts["versions"].keys()
    assert "face model landmarks" in facts["hashes"]
    assert f" and {folder / 'report.json'}" in result.stderr


def test_the_page_is_self_contained_and_escapes(made):
    folder, _ = made
    page = (folder / "report.HTML").read_text("utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.mp4" in page
    assert page.count("<img ") == 2  # Before and after.
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert "default-src 'none'" in page
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("name", ["report.txt", "report", "report.json.gz"])
def test_an_unknown_suffix_is_a_usage_error(tmp_path, name):
    result = run("enhance", tmp_path / "nothing.mp4", "--report", name)
    assert result.exit_code == 2
    assert f"'{name}' has an unknown ending: use .json or .html" in result.stderr
    with pytest.raises(ConfigError, match=r"must end in \.json or \.html"):
        Config.from_options(report=(Path(name),))


def test_unwritable_reports_fail_before_any_work(tmp_path):
    clip = make_video(tmp_path / "clip.mp4", frames=3)
    taken = tmp_path / "taken.json"
    taken.write_text("mine")
    for path, message in (
        (taken, "exists already"),
        (tmp_path / "no" / "x.html", "no such folder"),
    ):
        with pytest.raises(OutputError, match=message):
            crsr_video.enhance(
                clip, tmp_path / "out.mp4", config=Config.from_options(report=(path,))
            )
    same = tmp_path / "twice.json"
    with pytest.raises(ConfigError, match="same name"):
        crsr_video.enhance(
            clip, tmp_path / "out.mp4", config=Config.from_options(report=(same, same))
        )
    assert taken.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "taken.json"]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crsr_video.files.os.fsync", full)
    with pytest.raises(OutputError, match=r"report\.html: cannot be written: No space"):
        write(report(), [tmp_path / "report.html"])
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_not_text_can_be_written(tmp_path):
    strange = report()
    media = replace(strange.source, path="/x/\udcff\x01\u202egpj.mp4")
    strange = replace(strange, source=media)
    write(strange, [tmp_path / "a.json", tmp_path / "a.html"])
    assert json.loads((tmp_path / "a.json").read_text("ascii"))["source"]["path"] == media.path
    page = (tmp_path / "a.html").read_text("utf-8")
    assert "\u202e" not in page and "\x01" not in page


def test_names_never_become_elements():
    page = as_html(report())
    assert "<img src=x" not in page
    assert page.count("<script>") == 1
    assert EVIL not in page


def test_a_page_with_many_faces_stays_small():
    many = report(2000)
    page = as_html(many)
    assert page.count("<article") == 24
    assert "1,500 more" in page
    assert len(page) < 2_000_000
    assert len(json.loads(as_json(many))["people"]) == 2000


def test_a_damaged_source_is_reported():
    facts = replace(report(), complete=False)
    page = as_html(replace(facts, frames=replace(facts.frames, truncated=True, concealed=5)))
    assert "source damaged or incomplete" in page
    assert "The source ended early" in page


def test_a_damaged_source_is_reported_on_too(tmp_path):
    whole = make_video(tmp_path / "whole.mkv", frames=30)
    clip, path = tmp_path / "cut.mkv", tmp_path / "report.json"
    clip.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    config = Config.from_options(model="identity", report=(path,))
    summary = crsr_video.enhance(clip, tmp_path / "out.mkv", config=config)
    assert summary.partial and summary.reports == (path,)
    facts = json.loads(path.read_text("ascii"))
    assert (facts["complete"], facts["command"], facts["people"]) == (False, [], [])
    assert facts["frames"]["total"] == summary.statistics.frames


def test_a_run_without_faces_is_reported():
    page = as_html(replace(report(0), faces=0, enhanced=0, masks=None))
    assert "No face was found" in page


def test_a_report_never_replaces_an_input(tmp_path):
    read = tmp_path / "people.json"
    read.write_text("{}")
    (tmp_path / "in.mp4").touch()
    with pytest.raises(ConfigError, match="would replace a file that the run reads"):
        check_paths(
            [read], tmp_path / "in.mp4", tmp_path / "out.mp4", overwrite=True, inputs=[read]
        )
    assert read.read_text() == "{}"
