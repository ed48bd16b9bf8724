"""Enhance frames that OpenCV decodes: opencv_frames.py INPUT OUTPUT_FOLDER."""

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

import crsr_video


def frames_of(path: str) -> Iterator[np.ndarray]:
    """Yield the frames of a video as RGB arrays; OpenCV has them as BGR."""
    capture = cv2.VideoCapture(path)
    while True:
        there, frame = capture.read()
        if not there:
            return
        yield np.ascontiguousarray(frame[..., ::-1])


def main(source: str, folder: str) -> None:
    """Write every tenth enhanced frame of `source` into `folder` as a PNG."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with crsr_video.Enhancer() as enhancer:
        for number, frame in enumerate(enhancer.enhance(frames_of(source))):
            if number % 10 == 0:
                cv2.imwrite(f"{folder}/frame{number:04d}.png", frame[..., ::-1])


if __name__ == "__main__":
    main(*sys.argv[1:])
