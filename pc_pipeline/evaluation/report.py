"""The page of an evaluation: figures, plots, and the frames where it went wrong. One HTML text with all in it."""

import base64
import html
import io
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pc_pipeline.evaluation.evaluate import Evaluation, Scene
from pc_pipeline.evaluation.metrics import by_frame
from pc_pipeline.evaluation.mistakes import KINDS, Mistake, choose, match, mistakes
from pc_pipeline.vision.arrays import Track
from pc_pipeline.vision.decode import Frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURES = 24
PICTURE_WIDTH = 640
TRUE, FOUND, MUTED, NOBODY = "#2a7f62", "#d1603d", "#9a9a9a", "#d9dcdd"
TRUE_BGR, FOUND_BGR, MUTED_BGR, LINE_BGR = (98, 190, 60), (40, 110, 255), (190, 190, 190), (255, 220, 60)

STYLE = """
:root { color-scheme: light; --ink: #1d2429; --soft: #5d6970; --rule: #dfe4e6; --paper: #fbfbf9; }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 1180px; margin: 0 auto; padding: 40px 24px 80px }
h1 { font-size: 30px; margin: 0 0 4px } h2 { font-size: 20px; margin: 44px 0 10px }
h3 { font-size: 16px; margin: 26px 0 2px } p { margin: 4px 0 12px; max-width: 78ch } .soft { color: var(--soft) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; background: #fff }
th, td { padding: 6px 16px; border-bottom: 1px solid var(--rule); text-align: right }
th:first-child, td:first-child { text-align: left } thead th { font-weight: 600; border-bottom: 2px solid var(--ink) }
td.wrong { color: #b3401c; font-weight: 600 } .tables { display: flex; flex-wrap: wrap; gap: 36px; align-items: start }
.cards { display: flex; flex-wrap: wrap; gap: 14px; margin: 22px 0 6px }
.card { background: #fff; border: 1px solid var(--rule); border-radius: 10px; padding: 12px 18px; min-width: 150px }
.card b { display: block; font-size: 26px; line-height: 1.2 } .card span { color: var(--soft); font-size: 13px }
.plot { background: #fff; border: 1px solid var(--rule); border-radius: 10px; padding: 10px; max-width: 100% }
.plot svg { display: block; width: 100%; height: auto }
.shots { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 18px; margin-top: 10px }
figure { margin: 0; background: #fff; border: 1px solid var(--rule); border-radius: 10px; overflow: hidden }
figure img { display: block; width: 100% } figcaption { padding: 8px 12px; font-size: 14px }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 5px 0 12px }
"""


def page(done: Evaluation, frames_at: Callable[[NDArray[np.int32]], Iterable[Frame]]) -> str:
    """The whole page.

    Args:
        frames_at: gives the frames with these container numbers (sorted, distinct).
    """
    all_mistakes = mistakes(done.scene, done.ours)
    shown = choose(all_mistakes, PICTURES)
    numbers = done.scene.frame_numbers[[mistake.frame for mistake in shown]] if shown else np.zeros(0, np.int32)
    # The first frame is the background of the map of lines.
    wanted = np.unique(np.append(numbers, done.scene.frame_numbers[:1]))
    images = {frame.number: frame.image for frame in frames_at(wanted)}
    parts = [
        _head(done),
        "<h2>Figures</h2>",
        f'<div class="tables">{_scores_table(done)}{_lines_table(done)}</div>',
        _explained(),
        "<h2>Crossings over time</h2>",
        "<p>Everyone who crossed a line so far. Where the two part, something was missed or counted twice.</p>",
        _plot(_cumulative(done)),
        "<h2>Random lines</h2>",
        f"<p>{len(done.ours.random_lines.lines)} lines across the picture. Left: each line with its error (in and out "
        "together). Right: how many lines have which error.</p>",
        _plot(_random_lines(done, images.get(int(done.scene.frame_numbers[0])))),
        "<h2>Tracks over time</h2>",
        "<p>One bar a track. Its colour and number say which true person it follows; grey is nobody. One person on "
        "several bars was split; a bar of several colours went over from one person to another.</p>",
        _plot(_timeline(done)),
        _pictures(done, all_mistakes, shown, images),
    ]
    title = html.escape(f"Evaluation of {done.facts['video']}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


# --------------------------------------------------------------------------------------------------------- figures


def _head(done: Evaluation) -> str:
    facts, ours = done.facts, done.ours
    cards = (
        (f"{ours.scores['IDF1']:.3f}", "IDF1"),
        (f"{ours.scores['HOTA']:.3f}", "HOTA"),
        (f"{ours.scores['unique_found']} / {ours.scores['unique_true']}", "people found / true"),
        (f"{ours.random_lines.mae:.2f}", "error at a random line, people"),
    )
    every = f"every {facts['sample_every']:g} s" if facts["sample_every"] else "every frame"
    about = (
        f"{facts['frames_sampled']} of {facts['frames']} frames ({every}; the video has {facts['fps']:g} a second), "
        f"{facts['width']}x{facts['height']}, detector {facts['model']}, {facts['truth_boxes']} true boxes, "
        f"{facts['detections']} detected."
    )
    return (
        f"<h1>{html.escape(str(facts['video']).rsplit('/', 1)[-1])}</h1>"
        f'<p class="soft">{html.escape(about)}</p><div class="cards">'
        + "".join(f'<div class="card"><b>{value}</b><span>{name}</span></div>' for value, name in cards)
        + "</div>"
    )


def _scores_table(done: Evaluation) -> str:
    columns = (done.ours, done.bytetrack, done.perfect)
    rows = [
        (key, *(f"{measured.scores[key]:.3f}" for measured in columns))
        for key in ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "precision", "recall")
    ]
    rows.append(("id switches", *(str(measured.scores["IDSW"]) for measured in columns)))
    rows.append((f"people ({done.ours.scores['unique_true']} true)", *(str(m.scores["unique_found"]) for m in columns)))
    rows.append(
        (
            "random lines, error",
            *(
                '{:.2f}<br><small class="soft">{:.2f} to {:.2f}</small>'.format(
                    m.random_lines.mae, *m.random_lines.ci95
                )
                for m in columns
            ),
        )
    )
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr><th></th><th>ours</th><th>ByteTrack</th><th>perfect</th></tr></thead>{body}</table>"


def _lines_table(done: Evaluation) -> str:
    columns = (done.ours, done.bytetrack, done.perfect)
    body = ""
    for line in done.scene.lines:
        for direction in ("in", "out"):
            each = [measured.line_counts()[line][direction] for measured in columns]
            true = each[0]["true"]
            cells = "".join(
                f'<td class="{"wrong" if one["found"] != true else ""}">{one["found"]}</td>' for one in each
            )
            body += f"<tr><td>{html.escape(line)}</td><td>{direction}</td><td>{true}</td>{cells}</tr>"
    return (
        "<table><thead><tr><th>line</th><th></th><th>true</th><th>ours</th><th>ByteTrack</th><th>perfect</th></tr>"
        f"</thead>{body}</table>"
    )


def _explained() -> str:
    return (
        '<p class="soft">ByteTrack: the trackers package at its defaults, on the same boxes. Perfect: the same boxes '
        "given to the true people, gaps of up to 2 s filled; what is missing there is the detector's. Random lines: "
        "mean absolute error of in and out, with its 95 % interval.</p>"
    )


# ----------------------------------------------------------------------------------------------------------- plots


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _plain(axes: "Axes") -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _plot(figure: "Figure") -> str:
    """The figure as inline SVG."""
    import matplotlib as mpl

    drawn = io.StringIO()
    # Text as paths: the page looks the same with any fonts.
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "pc"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    text = drawn.getvalue()
    return f'<div class="plot">{text[text.index("<svg") :]}</div>'


def _cumulative(done: Evaluation) -> "Figure":
    from matplotlib.ticker import MaxNLocator

    lines = list(done.scene.lines)
    figure = _figure(11, 2.7 * len(lines))
    grid = np.atleast_2d(figure.subplots(len(lines), 2, sharex=True, squeeze=False))
    end_s = done.scene.times_us[-1] / 1e6
    for row, line in zip(grid, lines, strict=True):
        for axes, direction in zip(row, ("in", "out"), strict=True):
            for crossings, colour, name, width in (
                (done.ours.true[line], TRUE, "true", 3.5),
                (done.ours.found[line], FOUND, "found", 1.6),
            ):
                times = [one.crossing.time_us / 1e6 for one in crossings if one.crossing.direction == direction]
                steps = [*range(len(times) + 1), len(times)]
                axes.step([0, *times, end_s], steps, where="post", color=colour, linewidth=width, label=name)
            axes.set_title(f"{line}, {direction}", loc="left", fontsize=10)
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_xlim(0, end_s)
            _plain(axes)
    grid[0][0].legend(frameon=False, fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("seconds")
    return figure


def _random_lines(done: Evaluation, background: NDArray[np.uint8] | None) -> "Figure":
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    random = done.ours.random_lines
    errors = np.abs(random.found - random.true).sum(axis=1)
    width, height = done.scene.frame_size
    figure = _figure(11, 4.2)
    picture, bars = figure.subplots(1, 2, width_ratios=(1.25, 1))
    colours = ScalarMappable(Normalize(0, max(int(errors.max()), 1)), "viridis")
    if background is not None:
        grey = background.mean(axis=2)
        picture.imshow(255 - (255 - grey) * 0.35, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
    for place in np.argsort(errors, kind="stable"):
        line = random.lines[place]
        (x1, x2), (y1, y2) = zip(line.start, line.end, strict=True)
        picture.plot([x1 * width, x2 * width], [y1 * height, y2 * height], color=colours.to_rgba(errors[place]), lw=1.4)
    picture.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")
    figure.colorbar(colours, ax=picture, shrink=0.8, label="people wrong, in and out")
    of_each = [
        np.abs(measured.random_lines.found - measured.random_lines.true).sum(axis=1)
        for measured in (done.ours, done.bytetrack, done.perfect)
    ]
    most = max(int(values.max()) for values in of_each)
    for shift, values, name, colour in zip(
        (-0.27, 0, 0.27), of_each, ("ours", "ByteTrack", "perfect"), (FOUND, MUTED, TRUE), strict=True
    ):
        bars.bar(np.arange(most + 1) + shift, np.bincount(values, minlength=most + 1), 0.26, color=colour, label=name)
    bars.set(xlabel="people wrong, in and out", ylabel="lines", xticks=range(most + 1))
    bars.legend(frameon=False, fontsize=9)
    _plain(bars)
    return figure


def _timeline(done: Evaluation) -> "Figure":
    import matplotlib as mpl

    truth, tracks, times_us = done.scene.truth, done.ours.tracks, done.scene.times_us
    matches = match(truth, tracks, done.scene.frame_numbers)
    step_s = float(np.median(np.diff(times_us))) / 1e6 if len(times_us) > 1 else 1.0
    figure = _figure(11, 1.2 + 0.2 * max(len(tracks), 5))
    axes = figure.subplots()
    # Without its greys: grey is nobody.
    palette = [mpl.colormaps["tab20"](place) for place in range(20) if place not in (14, 15)]
    for row in range(len(tracks)):
        spells = _spells(matches.found, row)
        for start, end, person in spells:
            left, right = times_us[start] / 1e6, times_us[end] / 1e6 + step_s
            colour = palette[person % len(palette)] if person >= 0 else NOBODY
            axes.barh(row, right - left, left=left, height=0.78, color=colour)
            longest = max((e - s for s, e, who in spells if who == person), default=0)
            if person >= 0 and end - start == longest and right - left > times_us[-1] / 1e6 / 60:
                who = str(truth[person].track_id)
                axes.text((left + right) / 2, row, who, ha="center", va="center", fontsize=7)
    axes.set(
        xlabel="seconds",
        ylabel="track",
        yticks=range(len(tracks)),
        yticklabels=[str(track.track_id) for track in tracks],
        xlim=(0, times_us[-1] / 1e6 + step_s),
        ylim=(max(len(tracks), 1) - 0.4, -0.6),
    )
    axes.tick_params(axis="y", labelsize=7)
    _plain(axes)
    return figure


def _spells(found: Sequence[dict[int, int]], place: int) -> list[tuple[int, int, int]]:
    """(first frame, last frame, person or -1) of a track, for as long as it follows the same one."""
    spells: list[list[int]] = []
    for frame, pairs in enumerate(found):
        if place not in pairs:
            continue
        if spells and spells[-1][1] == frame - 1 and spells[-1][2] == pairs[place]:
            spells[-1][1] = frame
        else:
            spells.append([frame, frame, pairs[place]])
    return [(start, end, person) for start, end, person in spells]


# -------------------------------------------------------------------------------------------------------- pictures


def _pictures(
    done: Evaluation, every: Sequence[Mistake], shown: Sequence[Mistake], images: dict[int, NDArray[np.uint8]]
) -> str:
    parts = [
        "<h2>Where it went wrong</h2>",
        f'<p><span class="key" style="background:{_css(TRUE_BGR)}"></span>true'
        f'<span class="key" style="background:{_css(FOUND_BGR)}"></span>found '
        f'<span class="key" style="background:{_css(MUTED_BGR)}"></span>everyone else. '
        "A filled-in box is dashed.</p>",
    ]
    if not every:
        return "".join([*parts, "<p>Nowhere: no crossing, person or identity is wrong.</p>"])
    for kind, meaning in KINDS.items():
        of_kind = [mistake for mistake in every if mistake.kind == kind]
        pictured = [mistake for mistake in shown if mistake.kind == kind]
        if not of_kind:
            continue
        left_out = f", {len(pictured)} of them shown" if len(pictured) < len(of_kind) else ""
        parts.append(f'<h3>{kind}: {len(of_kind)}{left_out}</h3><p class="soft">{meaning}</p><div class="shots">')
        for mistake in pictured:
            image = images.get(int(done.scene.frame_numbers[mistake.frame]))
            picture = "" if image is None else _image(_drawn(done.scene, done.ours.tracks, mistake, image))
            caption = f"<b>{_clock(mistake.time_us)}</b> {html.escape(mistake.text)}"
            parts.append(f"<figure>{picture}<figcaption>{caption}</figcaption></figure>")
        parts.append("</div>")
    return "".join(parts)


def _drawn(scene: Scene, tracks: Sequence[Track], mistake: Mistake, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The part of the frame it happened in, with true and found boxes: those it is about in colour and numbered."""
    import cv2

    number = scene.frame_numbers[mistake.frame : mistake.frame + 1]
    shown = [
        (track, box, track.track_id in ids, colour, above)
        for people, ids, colour, above in (
            (scene.truth, mistake.true_ids, TRUE_BGR, True),
            (tracks, mistake.found_ids, FOUND_BGR, False),
        )
        for places, boxes in [[one[0] for one in by_frame(people, number)]]
        for track, box in zip([people[place] for place in places], boxes, strict=True)
    ]
    corners = [box.reshape(2, 2) for _, box, meant, _, _ in shown if meant]
    corners += [np.array([mistake.point])] if mistake.point else []
    left, top, right, bottom = _window(corners, (image.shape[1], image.shape[0]))
    zoom = PICTURE_WIDTH / (right - left)
    size = (PICTURE_WIDTH, round((bottom - top) * zoom))
    canvas = cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_CUBIC)
    origin = np.array([left, top])
    if mistake.line:
        start, end = scene.lines[mistake.line].pixels(scene.frame_size)
        cv2.line(canvas, _pixel((start - origin) * zoom), _pixel((end - origin) * zoom), LINE_BGR, 2, cv2.LINE_AA)
    # What it is about comes last, on top.
    for track, box, meant, colour, above in sorted(shown, key=lambda one: one[2]):
        placed = ((box.reshape(2, 2) - origin) * zoom).ravel()
        seen = not track.interpolated[np.searchsorted(track.frame_number, number[0])]
        _box(canvas, placed, colour if meant else MUTED_BGR, 2 if meant else 1, dashed=not seen)
        if meant:
            # The true number above the box and the found one below, so that both can be read.
            _label(canvas, str(track.track_id), placed[:2] if above else placed[[0, 3]] + [0, 20], colour)
    if mistake.point:
        cv2.circle(canvas, _pixel((np.array(mistake.point) - origin) * zoom), 12, LINE_BGR, 2, cv2.LINE_AA)
    return np.asarray(canvas, np.uint8)


def _window(corners: Sequence[NDArray[np.float64]], frame_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the part of a picture to show: half its size or more, in its proportions, around
    these points."""
    size = np.array(frame_size, np.float64)
    points = np.concatenate(corners) if corners else np.array([[0.0, 0.0], size])
    low, high = np.clip(points.min(axis=0), 0, size), np.clip(points.max(axis=0), 0, size)
    part = float(np.clip(((high - low) * 1.3 / size).max(), 0.5, 1.0))
    start = np.clip((low + high) / 2 - size * part / 2, 0, size * (1 - part))
    left, top = np.floor(start).astype(int)
    width, height = np.floor(size * part).astype(int)
    return int(left), int(top), int(left + width), int(top + height)


def _label(canvas: NDArray[Any], text: str, corner: NDArray[np.float64], colour: tuple[int, int, int]) -> None:
    """Dark text on a plate of this colour, standing on `corner` (its bottom left)."""
    import cv2

    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    x = min(max(round(float(corner[0])), 0), canvas.shape[1] - width - 8)
    y = min(max(round(float(corner[1])), height + 8), canvas.shape[0])
    cv2.rectangle(canvas, (x, y - height - 8), (x + width + 8, y), colour, -1)
    cv2.putText(canvas, text, (x + 4, y - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA)


def _box(
    canvas: NDArray[Any], box: NDArray[np.float64], colour: tuple[int, int, int], width: int, *, dashed: bool
) -> None:
    import cv2

    x1, y1, x2, y2 = box
    if not dashed:
        cv2.rectangle(canvas, _pixel(box[:2]), _pixel(box[2:]), colour, width, cv2.LINE_AA)
        return
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]])
    for start, end in zip(corners, corners[1:], strict=False):
        length = float(np.hypot(*(end - start)))
        for at in np.arange(0, length, 8.0):
            ends = start + (end - start) * at / length, start + (end - start) * min(at + 4, length) / length
            cv2.line(canvas, _pixel(ends[0]), _pixel(ends[1]), colour, width)


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _image(picture: NDArray[np.uint8]) -> str:
    import cv2

    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}">'


def _css(bgr: tuple[int, int, int]) -> str:
    return "rgb({}, {}, {})".format(*reversed(bgr))


def _clock(time_us: int) -> str:
    minutes, tenths = divmod(round(time_us / 1e5), 600)
    return f"{minutes}:{tenths / 10:04.1f}"
