"""Finding videos, naming their results, and refusing or leaving out inputs."""

from pathlib import Path

import pytest

from crsr_video.config import Config
from crsr_video.errors import ConfigError, InputError
from crsr_video.jobs.queue import Found, find
from tests.support.video import make_video


def touch(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return paths


def pairs(found: Found, root: Path) -> dict[str, str]:
    """Return outputs by source, relative to a folder."""
    return {
        str(job.source.relative_to(root)): str(job.output.relative_to(root)) for job in found.jobs
    }


def test_results_are_named_like_those_of_single_files(tmp_path: Path) -> None:
    inputs = touch(tmp_path, "a.mp4", "B.MOV")
    found = find(inputs, None, Config())
    assert pairs(found, tmp_path) == {"a.mp4": "a.enhanced.mp4", "B.MOV": "B.enhanced.MOV"}
    found = find(inputs, tmp_path / "out", Config())
    assert pairs(found, tmp_path) == {"a.mp4": "out/a.mp4", "B.MOV": "out/B.MOV"}


def test_a_suffix_that_cannot_be_written_is_replaced_by_content(tmp_path: Path) -> None:
    odd = make_video(tmp_path / "clip.m2v", codec="mpeg2video", container="mpegts")
    unreadable = touch(tmp_path, "bad.ogv")[0]
    found = find([odd, unreadable], tmp_path / "out", Config())
    assert pairs(found, tmp_path) == {"clip.m2v": "out/clip.ts"}
    assert [refused.path for refused in found.refused] == [unreadable]
    assert "not a media file" in found.refused[0].message


def test_folders_are_searched_in_order_and_mirrored(tmp_path: Path) -> None:
    names = ("b.mp4", "a.mkv", "sub/deep/c.avi", "notes.txt", ".hidden.mp4", ".git/d.mp4")
    touch(tmp_path / "in", *names, ".a.mp4.resume/segment000000.mov")
    found = find([tmp_path / "in"], tmp_path / "out", Config(), recursive=True)
    assert list(pairs(found, tmp_path).items()) == [
        ("in/a.mkv", "out/a.mkv"),
        ("in/b.mp4", "out/b.mp4"),
        ("in/sub/deep/c.avi", "out/sub/deep/c.avi"),
    ]
    assert not found.refused
    notes = tmp_path / "in" / "notes.txt"
    assert found.notices == [f"left out because they are no videos or pictures: {notes}"]


def test_patterns_select_files(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.mp4", "b.mkv", "raw/c.mp4", "raw/d.bin")
    for patterns, expected in (
        (("*.mkv",), ["b.mkv"]),
        (("raw/*.mp4", "b.*"), ["b.mkv", "raw/c.mp4"]),
    ):
        found = find([tmp_path / "in"], None, Config(), recursive=True, patterns=patterns)
        assert list(pairs(found, tmp_path / "in")) == expected
    with pytest.raises(ConfigError, match="`recursive`"):
        find([tmp_path / "in"], None, Config(), patterns=("*",))


def test_results_with_the_same_name_are_refused(tmp_path: Path) -> None:
    one, other, two = touch(tmp_path, "x/clip.mp4", "x/other.mp4", "y/clip.mp4")
    found = find([one, other, two], tmp_path / "out", Config())
    assert [job.source for job in found.jobs] == [other]
    name = tmp_path / "out" / "clip.mp4"
    assert [(refused.path, refused.message, refused.kind) for refused in found.refused] == [
        (one, f"{one}: would write {name}, like {two}", "ConfigError"),
        (two, f"{two}: would write {name}, like {one}", "ConfigError"),
    ]
    assert len(find([one, two], None, Config()).jobs) == 2


def test_a_file_that_is_given_twice_is_done_once(tmp_path: Path) -> None:
    clip = touch(tmp_path, "clip.mp4")[0]
    link = tmp_path / "link.mp4"
    link.symlink_to(clip)
    found = find([clip, tmp_path / "sub" / ".." / "clip.mp4", link, tmp_path], None, Config())
    assert [job.source for job in found.jobs] == [clip]
    assert len(found.notices) == 2
    assert "is done once" in found.notices[0]
    assert "`recursive`" in found.refused[0].message  # The folder is refused, and the rest is done.


def test_results_are_never_sources(tmp_path: Path) -> None:
    a, made, again = touch(tmp_path, "a.mp4", "a.enhanced.mp4", "a.enhanced.enhanced.mp4")
    own = touch(tmp_path, "b.enhanced.mp4")[0]  # This may be somebody's own video.
    found = find([a, made, again, own], None, Config())
    assert [job.source for job in found.jobs] == [a, own]
    assert f"{made} is left out because it is the result of {a}" in found.notices
    found = find([tmp_path], tmp_path / "out", Config(), recursive=True)
    assert [job.source for job in found.jobs] == [a, own]


def test_a_results_folder_among_the_sources_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "out/a.mp4", "out/sub/b.mp4")
    found = find([tmp_path], tmp_path / "out", Config(), recursive=True)
    assert pairs(found, tmp_path) == {"a.mp4": "out/a.mp4"}
    assert any("results are written there" in notice for notice in found.notices)


def test_overwriting_inside_the_sources_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.mp4", "day2/deep/a.mp4")
    config = Config.from_options(overwrite=True)
    with pytest.raises(ConfigError, match=r"day2: is inside .* could replace a source"):
        find([tmp_path / "in"], tmp_path / "in" / "day2", config, recursive=True)
    found = find([tmp_path / "in"], tmp_path / "in" / "new", config, recursive=True)
    assert len(found.jobs) == 2


@pytest.mark.parametrize("inside", ["out", "out/deep"])
def test_sources_inside_the_results_folder_are_refused(tmp_path: Path, inside: str) -> None:
    touch(tmp_path, f"{inside}/a.mp4")
    other = touch(tmp_path, "other/b.mp4")[0]
    inputs = [tmp_path / inside, other.parent]
    found = find(inputs, tmp_path / "out", Config(), recursive=True)
    assert [job.source for job in found.jobs] == [other]
    assert "results would be sources" in found.refused[0].message


def test_circular_folder_links_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.mp4")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    found = find([tmp_path / "in"], tmp_path / "out", Config(), recursive=True)
    assert len(found.jobs) == 1


def test_broken_links_and_long_names_become_jobs(tmp_path: Path) -> None:
    """Python raises an exception when it is asked whether these are folders."""
    loop = tmp_path / "loop.mp4"
    loop.symlink_to(loop)
    long = tmp_path / ("x" * 300 + ".mp4")
    found = find([loop, long, *touch(tmp_path, "a.mp4")], tmp_path / "out", Config())
    assert [job.source.name for job in found.jobs] == [loop.name, long.name, "a.mp4"]
    found = find([tmp_path], tmp_path / "out", Config(), recursive=True)
    assert [job.source.name for job in found.jobs] == ["a.mp4", "loop.mp4"]


def test_folders_without_videos_are_reported(tmp_path: Path) -> None:
    touch(tmp_path / "in", "notes.txt")
    (tmp_path / "empty").mkdir()
    found = find([tmp_path / "in", tmp_path / "empty"], None, Config(), recursive=True)
    assert [refused.message for refused in found.refused] == [
        f"{tmp_path / 'in'}: contains no video or picture",
        f"{tmp_path / 'empty'}: contains no video or picture",
    ]
    found = find([tmp_path / "in"], None, Config(), recursive=True, patterns=("*.mp4", "*.mkv"))
    assert found.refused[0].message.endswith("no file matches *.mp4 or *.mkv")
    with pytest.raises(InputError, match="nothing to enhance"):
        find([], None, Config())


def test_conflicting_options_are_refused(tmp_path: Path) -> None:
    inputs = touch(tmp_path, "a.mp4", "b.mp4")
    for folder in (touch(tmp_path, "file")[0], tmp_path / "new.mp4"):
        with pytest.raises(ConfigError, match="need an output folder"):
            find(inputs, folder, Config())
    with pytest.raises(ConfigError, match="belongs to one video"):
        find(inputs, None, Config.from_options(tracks=tmp_path / "t.json"))
    with pytest.raises(ConfigError, match="one video"):
        find([*inputs, Path("-")], None, Config())


def test_each_result_has_its_own_report(tmp_path: Path) -> None:
    inputs = touch(tmp_path / "in", "a.mp4", "sub/b.mp4")
    found = find(inputs, None, Config.from_options(report=(Path("run.html"),)))
    assert [job.report for job in found.jobs] == [
        (Path("run_files/a.enhanced.mp4.html"),),
        (Path("run_files/b.enhanced.mp4.html"),),
    ]
    config = Config.from_options(report=(Path("*.html"), tmp_path / "reports" / "*.json"))
    found = find([tmp_path / "in"], tmp_path / "out", config, recursive=True)
    assert [job.report for job in found.jobs] == [
        (tmp_path / "out" / "a.html", tmp_path / "reports" / "a.json"),
        (tmp_path / "out" / "sub" / "b.html", tmp_path / "reports" / "sub" / "b.json"),
    ]
    twins = touch(tmp_path, "x/a.mp4", "y/a.mp4")
    found = find(twins, None, Config.from_options(report=(tmp_path / "reports" / "*.json",)))
    assert [refused.path for refused in found.refused] == twins
    assert f"would write {tmp_path / 'reports' / 'a.enhanced.json'}" in found.refused[0].message
