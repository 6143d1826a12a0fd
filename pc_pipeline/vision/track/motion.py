"""How people move: a Kalman filter whose velocity fades, in body heights and seconds.

A walker keeps a velocity for some seconds and then another one: an Ornstein-Uhlenbeck process (Uhlenbeck and
Ornstein, Phys. Rev. 36, 823, 1930). So the same numbers serve every frame rate, and a prediction over a long gap grows
as a random walk does, not as a rocket. Both axes share one covariance, since nothing tells them apart.
"""

from dataclasses import dataclass, fields

import numpy as np

from pc_pipeline.vision.track.sightings import Floats, Rows, Sightings

# A body is about 1.7 m. People walk at 1.4 m/s, 0.8 body heights a second; in the picture much of it is foreshortened.
VELOCITY_SD = 0.5
VELOCITY_LASTS_S = 4.0
# A box's height errs by this part of itself.
HEIGHT_SD = 0.1
# Log height: nobody doubles in height while unseen, or loses half of it, whatever is cut off.
MOST_GROWN = 0.7
# A box's height follows the person by this part at each sighting.
HEIGHT_GAIN = 0.3
# What a person did longer ago says nothing of where they go now.
MEMORY_S = 4.0


@dataclass
class States:
    """Where K people are and where they go.

    Attributes:
        time: float64[K], seconds.
        place: float64[K, 2], pixels.
        velocity: float64[K, 2], pixels a second, in the direction the filter runs.
        spread: float64[K, 3]: along one axis the variance of place, its covariance with velocity, velocity's variance.
        height: float64[K], pixels.
    """

    time: Floats
    place: Floats
    velocity: Floats
    spread: Floats
    height: Floats

    def __len__(self) -> int:
        return len(self.time)

    def of(self, rows: Rows) -> "States":
        """The states at `rows`."""
        return States(*(getattr(self, field.name)[rows] for field in fields(self)))

    def put(self, rows: Rows, states: "States") -> None:
        """Overwrite the states at `rows`."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(states, field.name)


def nobody(count: int) -> States:
    """Room for `count` states."""
    return States(np.zeros(count), np.zeros((count, 2)), np.zeros((count, 2)), np.zeros((count, 3)), np.ones(count))


def first_seen(sightings: Sightings, rows: Rows, usual_height: Floats) -> States:
    """States from one sighting each: place known, velocity not."""
    doubt = 1 + (np.log(sightings.height[rows] / usual_height) / HEIGHT_SD) ** 2
    spread = np.zeros((len(rows), 3))
    spread[:, 0] = (sightings.place_sd * usual_height) ** 2 * doubt
    spread[:, 2] = (VELOCITY_SD * usual_height) ** 2
    place = sightings.place[rows]
    return States(sightings.time[rows], place, np.zeros_like(place), spread, usual_height.astype(np.float64))


def predicted(states: States, time: Floats) -> States:
    """The states at `time` (float64[K], seconds), later or, from a filter that runs backwards, earlier."""
    lapse = np.abs(time - states.time)
    kept = np.exp(-lapse / VELOCITY_LASTS_S)
    reach = VELOCITY_LASTS_S * (1 - kept)
    variance = (VELOCITY_SD * states.height) ** 2
    place, both, velocity = states.spread.T
    spread = np.empty_like(states.spread)
    wander = 2 * VELOCITY_LASTS_S * (lapse - 2 * reach + VELOCITY_LASTS_S / 2 * (1 - kept**2))
    spread[:, 0] = place + 2 * reach * both + reach**2 * velocity + variance * wander
    spread[:, 1] = kept * (both + reach * velocity) + variance * VELOCITY_LASTS_S * (1 - kept) ** 2
    spread[:, 2] = kept**2 * velocity + variance * (1 - kept**2)
    moved = states.place + reach[:, None] * states.velocity
    return States(states.time + (time - states.time), moved, kept[:, None] * states.velocity, spread, states.height)


def place_noise(height: Floats, grown: Floats, place_sd: float) -> Floats:
    """Variance (px²) of the place of a box of a person `height` pixels tall. A box too short or too tall for the person
    (`grown`: log of its height in theirs) is cut off or two people's: its place counts less."""
    return (place_sd * height) ** 2 * (1 + (grown / HEIGHT_SD) ** 2)


def updated(states: States, sightings: Sightings, rows: Rows) -> States:
    """The states after a sighting each."""
    grown = np.log(sightings.height[rows] / states.height)
    total = states.spread[:, 0] + place_noise(states.height, grown, sightings.place_sd)
    gain, velocity_gain = states.spread[:, 0] / total, states.spread[:, 1] / total
    off = sightings.place[rows] - states.place
    spread = np.column_stack(
        (
            (1 - gain) * states.spread[:, 0],
            (1 - gain) * states.spread[:, 1],
            states.spread[:, 2] - velocity_gain * states.spread[:, 1],
        )
    )
    return States(
        states.time,
        states.place + gain[:, None] * off,
        states.velocity + velocity_gain[:, None] * off,
        spread,
        states.height * np.exp(HEIGHT_GAIN / (1 + (grown / HEIGHT_SD) ** 2) * grown),
    )


def followed(sightings: Sightings, chains: list[Rows]) -> States:
    """The state after each sighting of each chain, one chain after the other, in the chains' own direction of time.

    All chains are followed side by side: as many steps as the longest is long.
    """
    lengths = np.array([len(rows) for rows in chains], np.intp)
    starts = np.cumsum(lengths) - lengths
    usual = np.array([np.median(sightings.height[rows]) for rows in chains])
    flat = np.concatenate(chains) if chains else np.empty(0, np.intp)
    after = nobody(len(flat))
    by_length = np.argsort(-lengths, kind="stable")
    ending = np.searchsorted(-lengths[by_length], -np.arange(lengths.max(initial=0)), side="left")
    for step in range(lengths.max(initial=0)):
        at = starts[by_length[: ending[step]]] + step
        rows = flat[at]
        if step == 0:
            after.put(at, first_seen(sightings, rows, usual[by_length]))
        else:
            before = predicted(after.of(at - 1), sightings.time[rows])
            after.put(at, updated(before, sightings, rows))
    return after


def misfit(ended: States, begun: States) -> tuple[Floats, Floats]:
    """How badly ends carried on fit to beginnings, as one motion.

    Args:
        ended: K states at the time of `begun`, from filters that run forwards.
        begun: K states from filters that run backwards from what comes later.

    Returns:
        The squared Mahalanobis distance of the two in place and velocity (float64[K], 4 degrees of freedom), and the
        determinant of their joint covariance along one axis (px² · (px/s)²).
    """
    place, both, velocity = (ended.spread + begun.spread * [1, -1, 1]).T
    determinant = place * velocity - both**2
    off, turned = begun.place - ended.place, -begun.velocity - ended.velocity
    squares = velocity * (off**2).sum(1) - 2 * both * (off * turned).sum(1) + place * (turned**2).sum(1)
    return squares / determinant, determinant
