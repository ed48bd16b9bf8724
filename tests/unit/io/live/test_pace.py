"""When paced frames are due."""

import threading
import time
from fractions import Fraction

from crsr_video.io.timestamps import Pace


def test_a_clock_that_begins_anew_owes_nothing():
    """While networks are loaded a file waits, and none of it is late afterwards."""
    pace = Pace(threading.Event())
    pace.wait(Fraction(0))
    time.sleep(0.1)
    pace.restart()
    begin = time.monotonic()
    for frame in range(4):
        pace.wait(Fraction(frame, 50))
    assert 0.05 < time.monotonic() - begin < 5
