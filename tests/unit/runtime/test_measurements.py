import json
import threading

import pytest

from crsr_video.runtime.measurements import folder, measured_once


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path / "cache"))


def never():
    raise AssertionError("measured again")


def only_file():
    (path,) = folder().iterdir()
    return path


def test_the_first_answer_stays():
    assert measured_once("speed", "this machine", 2, lambda: [1.0, 2.0]) == [1.0, 2.0]
    assert measured_once("speed", "this machine", 2, never) == [1.0, 2.0]
    assert measured_once("speed", "another", 2, lambda: [3.0, 4.0]) == [3.0, 4.0]
    assert measured_once("colour", "this machine", 1, lambda: [5.0]) == [5.0]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"3",
        b'{"subject": "x"}',
        b'{"subject": "x", "answer": [1.0]}',
        b'{"subject": "x", "answer": [1.0, NaN]}',
        b'{"subject": "x", "answer": "ab"}',
        b'{"answer": [1.0, 2.0]}',
        b'{"subject": "x", "answer": [1.0, 1' + b"0" * 400 + b"]}",
        b"[" * 100_000,
        b'{"subject": "y", "answer": [1.0, 2.0]}',
    ],
)
def test_a_damaged_file_is_measured_anew_and_mended(damage):
    measured_once("speed", "x", 2, lambda: [1.0, 2.0])
    only_file().write_bytes(damage)
    assert measured_once("speed", "x", 2, lambda: [7.0, 8.0]) == [7.0, 8.0]
    assert measured_once("speed", "x", 2, never) == [7.0, 8.0]
    assert json.loads(only_file().read_text())["answer"] == [7.0, 8.0]


def test_the_first_of_two_simultaneous_measurements_counts_for_both():
    def slow():
        assert measured_once("speed", "x", 1, lambda: [1.0]) == [1.0]  # another run, meanwhile
        return [2.0]

    assert measured_once("speed", "x", 1, slow) == [1.0]
    assert measured_once("speed", "x", 1, never) == [1.0]


def test_many_at_once_agree():
    gate, answers = threading.Barrier(8), []

    def run(number):
        def measure():
            gate.wait(20)
            return [float(number)]

        answers.append(measured_once("speed", "x", 1, measure))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 8
    assert len({answer[0] for answer in answers}) == 1
    only_file()  # and nothing else is left lying about


def test_nothing_can_be_kept(monkeypatch, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(blocker))
    assert measured_once("speed", "x", 1, lambda: [1.0]) == [1.0]


def test_measurements_are_stored_without_hard_links(monkeypatch):
    def refuse(*_):
        raise OSError("not supported")

    monkeypatch.setattr("os.link", refuse)
    assert measured_once("speed", "x", 1, lambda: [1.0]) == [1.0]
    assert measured_once("speed", "x", 1, never) == [1.0]
