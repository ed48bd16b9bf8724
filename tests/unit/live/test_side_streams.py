from fractions import Fraction
from types import SimpleNamespace

from crsr_video.io.pyav import Passthrough
from crsr_video.live.queues import SideStreams


def sound(pts: int | None, dts: int | None = None, size: int = 100) -> Passthrough:
    packet = SimpleNamespace(pts=pts, dts=dts, time_base=Fraction(1, 100), size=size)
    return Passthrough(1, packet)


def test_sound_waits_for_its_frame() -> None:
    held = SideStreams()
    first, second = sound(100), sound(120)
    assert held.push(first, now=0.0) == []
    assert held.push(second, now=0.0) == []
    assert held.reach(0.8, now=0.1) == []
    assert held.reach(0.95, now=0.1) == [first]
    assert held.reach(1.2, now=0.1) == [second]
    assert held.push(late := sound(110), now=0.1) == [late]


def test_sound_is_written_without_its_frame_after_a_second() -> None:
    held = SideStreams()
    held.push(first := sound(10), now=0.0)
    assert held.due(now=0.9) == []
    assert held.due(now=1.1) == [first]


def test_packets_without_a_timestamp_pass_at_once_in_order() -> None:
    held = SideStreams()
    assert held.push(plain := sound(None), now=0.0) == [plain]
    held.push(first := sound(10), now=0.0)
    assert held.push(sound(None), now=0.0) == []
    assert held.flush()[0] is first
    assert held.flush() == []


def test_memory_is_bounded_when_no_frames_come() -> None:
    held = SideStreams()
    passed = sum(len(held.push(sound(i + 10), now=0.0)) for i in range(10_000))
    assert passed == 10_000 - 4096


def test_bytes_are_bounded_when_no_frames_come() -> None:
    held = SideStreams()
    written = sum(len(held.push(sound(10, size=1 << 20), now=0.0)) for _ in range(200))
    assert written == 200 - 64
    held.flush()
    assert held.push(sound(10, size=1 << 20), now=0.0) == []
