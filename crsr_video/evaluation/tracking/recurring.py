"""Evaluate the grouping of tracks: people who return in later shots should keep their number."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from crsr_video.errors import ConfigError
from crsr_video.evaluation.tracking.drawing import Backdrops, DrawnFrame, find_backdrops, render
from crsr_video.evaluation.tracking.running import SceneSettings, TrackingReport
from crsr_video.evaluation.tracking.scenes import Actor, DrawnHead, Key, Scene, Shot, Sway, people
from crsr_video.evaluation.tracking.scoring import match_quality
from crsr_video.formatting import markdown_table
from crsr_video.track.grouping import PeopleGrouper
from crsr_video.track.tracker import Tracker
from crsr_video.types import Frame

WIDTHS = (24, 32, 44, 64, 96)
"""Mean face widths of the scenes in pixels."""
_SHOTS, _SHOT_FRAMES, _PEOPLE_PER_SCENE = 8, 16, 5
_PICTURES = 4
"""Different pictures of each person."""


@dataclass
class Pairs:
    """Counts of pairs of tracks."""

    same: int = 0
    grouped: int = 0
    """Pairs of one person whose tracks have the same number, as they should."""
    different: int = 0
    confused: int = 0
    """Pairs of two people whose tracks have the same number by mistake."""


def count_pairs(names: Mapping[int, str], numbers: Mapping[int, int]) -> Pairs:
    """Compare the true name of each track with the number that it was given."""
    found = Pairs()
    for a, b in combinations(sorted(names), 2):
        is_one = numbers[a] == numbers[b]
        if names[a] == names[b]:
            found.same, found.grouped = found.same + 1, found.grouped + is_one
        else:
            found.different, found.confused = found.different + 1, found.confused + is_one
    return found


def measure(
    faces: Path, settings: SceneSettings, on_scene: Callable[[str], None] = lambda _: None
) -> TrackingReport:
    """Draw scenes in which people come back after cuts, and count pairs of tracks.

    Args:
        faces: A folder with ``faces.csv`` that has several pictures of some people.
        settings: Settings of the evaluation.
        on_scene: Called with the name of each scene before it is run.
    """
    cast = people(faces, pictures=_PICTURES)
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    for index, person in enumerate(cast):
        by_name[person.name].append(index)
    several = [indices for indices in by_name.values() if len(indices) > 1]
    if len(several) < _PEOPLE_PER_SCENE:
        raise ConfigError(f"{faces}: fewer than {_PEOPLE_PER_SCENE} people have several pictures")
    backdrops = find_backdrops(settings.backgrounds, settings.seed)
    rows = []
    for width in WIDTHS:
        on_scene(f"{width} px")
        found = Pairs()
        for number in range(max(1, len(several) // _PEOPLE_PER_SCENE)):
            chosen = several[number * _PEOPLE_PER_SCENE :][:_PEOPLE_PER_SCENE]
            scene = _scene(width, chosen, settings.seed + number)
            shown = _run(scene, cast, backdrops, settings)
            for name in vars(found):
                setattr(found, name, getattr(found, name) + getattr(shown, name))
        rows.append((width, found))
    head = ["width in px", "pairs of one person", "grouped", "pairs of two people", "confused"]
    cells = [
        [f"{width}", f"{p.same}", f"{p.grouped}", f"{p.different}", f"{p.confused}"]
        for width, p in rows
    ]
    return TrackingReport(markdown_table(head, cells), {str(width): vars(p) for width, p in rows})


def _run(
    scene: Scene, cast: Sequence[DrawnHead], backdrops: Backdrops, settings: SceneSettings
) -> Pairs:
    actors = [layer for shot in scene.shots for layer in shot.layers if isinstance(layer, Actor)]
    truth = {actor.id: cast[actor.person].name for actor in actors}
    votes: defaultdict[int, Counter[str]] = defaultdict(Counter)
    grouper, waiting = PeopleGrouper(), deque[DrawnFrame]()

    def frames() -> Iterator[Frame]:
        for drawn in render(scene, cast, backdrops, seed=settings.seed):
            waiting.append(drawn)
            yield drawn.frame

    with Tracker(lookahead=settings.lookahead, min_face=settings.min_face) as tracker:
        for item in tracker.process(frames()):
            grouper.push(item)
            drawn = waiting.popleft().faces
            for row, column in np.argwhere(match_quality(drawn, item.faces) > 0):
                votes[item.faces[column].track][truth[drawn[row].id]] += 1
    names = {track: counted.most_common(1)[0][0] for track, counted in votes.items()}
    return count_pairs(names, grouper.people())


def _scene(width: float, chosen: Sequence[Sequence[int]], seed: int) -> Scene:
    rng = np.random.default_rng([seed, round(width)])
    times_shown: Counter[int] = Counter()
    shots = []
    for number in range(_SHOTS):
        actors: list[Actor] = []
        for place, who in enumerate(rng.permutation(len(chosen))[:2]):
            pictures = chosen[who]
            picture = pictures[times_shown[int(who)] % len(pictures)]
            times_shown[int(who)] += 1
            x, y = 180 + 280 * place + rng.uniform(-40, 40), 240 + rng.uniform(-60, 60)
            own = width * rng.uniform(0.85, 1.15)
            key = Key(0, x, y, own, rng.uniform(-12, 12))
            actors.append(Actor(len(actors) + 10 * number + 1, picture, (key,), Sway(10, 4, 4)))
        shots.append(Shot(number * _SHOT_FRAMES, tuple(actors), backdrop=number))
    return Scene(f"{width} px", tuple(shots), _SHOTS * _SHOT_FRAMES, size=(640, 480), blur=0.5)
