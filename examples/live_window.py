"""Show an enhanced camera in a window: live_window.py [CAMERA_OR_FILE]. Press q to stop."""

import sys

import cv2
import numpy as np

import crsr_video


def main(source: str = "0") -> None:
    """Enhance every frame of a camera (by number) or a file as it comes."""
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    with crsr_video.Enhancer(live=True) as enhancer:
        while True:
            there, frame = capture.read()
            if not there:
                return
            (enhanced,) = enhancer.push(np.ascontiguousarray(frame[..., ::-1]))
            cv2.imshow("crsr-video", enhanced[..., ::-1])
            if cv2.waitKey(1) == ord("q"):
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
