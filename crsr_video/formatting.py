"""Times and counts as people read them."""


def format_time(seconds: float) -> str:
    """Return a time such as 0:04.2 or 1:02:03.0."""
    tenths = round(abs(seconds) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    sign = "-" if seconds < 0 and tenths else ""
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{sign}{start}:{rest // 10:02d}.{rest % 10}"


def format_count(number: int, noun: str) -> str:
    """Return a number and a noun that forms its plural with an s, such as "2 frames"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
