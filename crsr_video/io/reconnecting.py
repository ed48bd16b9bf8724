"""How long to wait between attempts to reconnect, for readers and writers alike."""

FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.5, 10.0


def next_delay(seconds: float) -> float:
    """Return the delay before the attempt after the next one: twice as long, up to a limit."""
    return min(2 * seconds, LONGEST_DELAY_SECONDS)
