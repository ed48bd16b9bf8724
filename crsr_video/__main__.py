"""Entry point of ``python -m crsr_video``."""

from crsr_video.cli import main

if __name__ == "__main__":
    main(prog_name="crsr-video")
