"""Packets of a video as frames, over damage, up to the end of what is wanted."""

from collections.abc import Callable, Iterator

from av.error import FFmpegError
from av.video.frame import VideoFrame

from crsr_video.io import pyav
from crsr_video.io.damage import Watch
from crsr_video.io.framer import Framer
from crsr_video.io.opened import Opened
from crsr_video.io.pyav import Packet
from crsr_video.io.window import Window
from crsr_video.types import Frame


class Decoding:
    """The decoder of what was opened, from one place in the file on.

    Args: form: (width, height, pixel format) that all are to have; None: the first one's.
          note: takes a line that the user should read.
    """

    def __init__(
        self,
        opened: Opened,
        window: Window,
        form: tuple[int, int, str] | None,
        note: Callable[[str], None],
    ) -> None:
        self._opened, self._window, self._note = opened, window, note
        self._framer = Framer(
            opened.video, begin=window.begin, shift=window.shift, form=form, note=note
        )
        begin = None if window.begin is None else round(window.begin / opened.base)
        self._watch = Watch(opened.video.codec_context.codec.canonical_name, begin)
        self._raw_bytes = 0
        self._failed = 0
        self.done = False
        """No frame is wanted any more."""

    def push(self, packet: Packet) -> Iterator[Frame]:
        """Frames that a packet brings about."""
        self._watch.sent(packet)
        if not self._is_another_size(packet):
            yield from self._frames(packet)

    def flush(self) -> Iterator[Frame]:
        """Frames that are still to come when all packets are there."""
        yield from self._frames(None)
        if not self.done:
            self._watch.end()

    def _frames(self, packet: Packet | None) -> Iterator[Frame]:
        for picture in self._decode(packet):
            self.done = self.done or self._is_after(picture)
            if not self.done and (frame := self._framer.frame(picture)) is not None:
                yield frame

    def _decode(self, packet: Packet | None) -> list[VideoFrame]:
        try:
            pictures = self._opened.video.codec_context.decode(packet)
            for picture in pictures:
                self._watch.came(picture)
            return pictures
        except EOFError:
            return []
        except FFmpegError as error:
            self._failed += 1
            self._note(f"damaged pictures were skipped: {pyav.reason(error)}")
            return []

    def _is_another_size(self, packet: Packet) -> bool:
        """Whether a raw picture is larger than the first: a piece of it would pass for a picture.

        As where a second stream follows in a pipe; codecs but this one tell a picture's size.
        """
        if self._opened.video.codec_context.name != "rawvideo":
            return False
        self._raw_bytes = self._raw_bytes or packet.size
        if packet.size <= self._raw_bytes:
            return False
        self._failed += 1
        self._note("raw pictures of another size follow midway: they are left out")
        return True

    def _is_after(self, picture: VideoFrame) -> bool:
        return picture.pts is not None and self._window.is_after(picture.pts * self._opened.base)

    def tell(self) -> None:
        """Note what was found to be wrong."""
        for told in self._watch.notes:
            self._note(told)

    @property
    def is_early(self) -> bool:
        """Whether it began where it should: at the window's begin, or before."""
        early, begin = self._framer.earliest, self._window.begin
        return early is None or begin is None or early <= begin

    @property
    def saw_any(self) -> bool:
        """Whether there was any picture, wanted or not."""
        return self._framer.earliest is not None

    @property
    def frames(self) -> int:
        """That came out."""
        return self._framer.frames

    @property
    def concealed(self) -> int:
        """Frames that the decoder had to patch up."""
        return self._framer.concealed + self._watch.patched

    @property
    def damaged(self) -> int:
        """Packets that nothing could be made of."""
        return max(self._failed, self._watch.lost)

    @property
    def made_up(self) -> int:
        """Frames whose time was missing or ran backwards."""
        return self._framer.made_up
