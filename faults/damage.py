"""Damaged videos: small rendered clips with bytes flipped, parts cut away and headers forged, all told by a seed."""

import io
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from pc_pipeline_tests import clips

WIDTH, HEIGHT, SECONDS = 160, 120, 4
# Codec and container of the whole clips.
WHOLE = (
    ("h264", "mp4"),
    ("mpeg4", "mp4"),
    ("h264", "mkv"),
    ("mjpeg", "avi"),
    ("h265", "mkv"),
    ("h264", "mov"),
    ("h264", "ts"),
)


@dataclass(frozen=True)
class Damage:
    """One kind of damage.

    Attributes:
        name: what was done, in words.
        to: suffixes of the whole clips it can be done to.
        make: content of a whole clip to damaged content.
    """

    name: str
    to: tuple[str, ...]
    make: Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Damaged:
    """A damaged file: its content, the suffix its name should have, the damage, and the clip it was made of."""

    content: bytes
    suffix: str
    damage: str
    whole: str


def whole_clips(folder: Path) -> dict[str, bytes]:
    """The clips that are damaged, by `codec.suffix`: two people before a camera, 4 s at 10 frames/s, 160x120."""
    made = {}
    for number, (codec, suffix) in enumerate(WHOLE):
        pictures = clips.filmed(clips.room(WIDTH, HEIGHT, seed=number), SECONDS, seed=number)
        made[f"{codec}.{suffix}"] = clips.write(folder / f"{codec}.{suffix}", pictures, codec=codec).read_bytes()
    return made


def damaged(whole: dict[str, bytes], number: int, seed: int) -> Iterator[Damaged]:
    """`number` damaged files: every kind of damage in turn, each to another clip than the last time."""
    turns: dict[str, int] = {}
    for place, damage in enumerate(islice(cycle(DAMAGES), number)):
        fit = [name for name in whole if name.rpartition(".")[2] in damage.to]
        turn = turns[damage.name] = turns.get(damage.name, -1) + 1
        name = fit[turn % len(fit)]
        content = damage.make(whole[name], random.Random(f"{seed} {place}"))
        yield Damaged(content, name.rpartition(".")[2], damage.name, name)


def _flipped(content: bytes, places: Sequence[int], rng: random.Random) -> bytes:
    changed = bytearray(content)
    for place in places:
        changed[place] ^= rng.randrange(1, 256)
    return bytes(changed)


def _some_flipped(content: bytes, rng: random.Random) -> bytes:
    return _flipped(content, rng.sample(range(len(content)), rng.randint(1, 5)), rng)


def _many_flipped(content: bytes, rng: random.Random) -> bytes:
    return _flipped(content, rng.sample(range(len(content)), len(content) // 100), rng)


def _header_flipped(content: bytes, rng: random.Random) -> bytes:
    """Bytes of what describes the pictures: an MP4's `moov`, else the first half kilobyte."""
    start = max(content.find(b"moov"), 0)
    end = len(content) if start else 512
    return _flipped(content, rng.sample(range(start, min(end, len(content))), rng.randint(1, 8)), rng)


def _pictures_flipped(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) // 3, len(content) // 2)
    return _flipped(content, range(start, start + 64), rng)


def _sector_lost(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(0, max(len(content) - 4096, 1))
    return content[:start] + bytes(min(4096, len(content) - start)) + content[start + 4096 :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(1024, len(content))]


def _cut_early(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(1, 1024)]


def _beginning_lost(content: bytes, rng: random.Random) -> bytes:
    return content[rng.randrange(1, len(content) // 2) :]


def _middle_lost(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(512, len(content) // 2)
    return content[:start] + content[start + rng.randrange(1, len(content) // 4) :]


def _doubled_middle(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(512, len(content) // 2)
    return content[:start] + content[start - 512 : start] + content[start:]


def _in_box(content: bytes, name: bytes, offset: int, value: bytes) -> bytes:
    """An MP4 with `value` written so many bytes behind the name of every box `name`."""
    changed, at = bytearray(content), content.find(name)
    while at >= 0:
        changed[at + 4 + offset : at + 4 + offset + len(value)] = value
        at = content.find(name, at + 4)
    return bytes(changed)


def _boxes(*writes: tuple[bytes, int, bytes]) -> Callable[[bytes, random.Random], bytes]:
    def make(content: bytes, rng: random.Random) -> bytes:
        for name, offset, value in writes:
            content = _in_box(content, name, offset, value)
        return content

    return make


def _size(width: int, height: int) -> Callable[[bytes, random.Random], bytes]:
    """The size that the header declares, wherever a container keeps it."""

    def make(content: bytes, rng: random.Random) -> bytes:
        if content[:4] == b"RIFF":
            changed = bytearray(content)
            struct.pack_into("<II", changed, content.index(b"avih") + 8 + 32, width, height)
            struct.pack_into("<ii", changed, content.index(b"strf") + 8 + 4, width, height)
            return bytes(changed)
        if content[:4] == b"\x1aE\xdf\xa3":
            # PixelWidth and PixelHeight (RFC 9559), an unsigned number of one byte each in these clips, or two.
            for element, value in ((b"\xb0", width), (b"\xba", height)):
                for length in (1, 2):
                    old = element + bytes([0x80 | length]) + {b"\xb0": WIDTH, b"\xba": HEIGHT}[element].to_bytes(length)
                    new = element + bytes([0x80 | length]) + min(value, 256**length - 1).to_bytes(length)
                    content = content.replace(old, new, 1)
            return content
        sixteen = struct.pack(">HH", min(width, 65535), min(height, 65535))
        for entry in (b"avc1", b"mp4v"):
            content = (
                _in_box(content, entry, 24, sixteen) if content.find(entry, content.find(b"stsd")) > 0 else content
            )
        return _in_box(content, b"tkhd", 76, struct.pack(">II", min(width, 65535) << 16, min(height, 65535) << 16))

    return make


def _giant_picture(content: bytes, rng: random.Random) -> bytes:
    """Every JPEG claims 65,500 x 65,500 pixels: 6 GB a frame for whoever believes it (ITU-T T.81, SOF0)."""
    changed, at = bytearray(content), content.find(b"\xff\xc0\x00\x11\x08")
    while at >= 0:
        struct.pack_into(">HH", changed, at + 5, 65500, 65500)
        at = content.find(b"\xff\xc0\x00\x11\x08", at + 1)
    return bytes(changed)


def _giant_h264(content: bytes, rng: random.Random) -> bytes:
    """An MP4 whose H.264 says in its settings that pictures are 16,000 x 16,000: gigabytes of references."""
    import av

    target = io.BytesIO()
    with av.open(io.BytesIO(content)) as source, av.open(target, "w", format="mp4") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        settings = bytes(stream.codec_context.extradata or b"")
        # ISO/IEC 14496-15, avcC: six bytes, the length of the sequence parameter set, and the set.
        length = int.from_bytes(settings[6:8], "big")
        changed = _resized(settings[8 : 8 + length], 16_000 // 16)
        copy.codec_context.extradata = settings[:6] + len(changed).to_bytes(2, "big") + changed + settings[8 + length :]
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    return target.getvalue()


def _resized(sps: bytes, blocks: int) -> bytes:
    """A sequence parameter set of the Baseline profile (ITU-T H.264, 7.3.2.1.1) for so many macroblocks each way."""
    plain = sps.replace(b"\0\0\3", b"\0\0")
    bits = "".join(f"{byte:08b}" for byte in plain[4:])
    at = 0

    def skip() -> str:
        """One Exp-Golomb number."""
        nonlocal at
        start, zeros = at, bits.index("1", at) - at
        at += 2 * zeros + 1
        return bits[start:at]

    skip(), skip()
    if int(skip(), 2) == 1:  # pic_order_cnt_type 0
        skip()
    skip()
    at += 1
    before = bits[:at]
    skip(), skip()
    code = f"{blocks:b}"
    number = "0" * (len(code) - 1) + code
    changed = (before + number + number + bits[at:]).rstrip("0")
    changed += "0" * (-len(changed) % 8)
    return plain[:4] + int(changed, 2).to_bytes(len(changed) // 8, "big")


def _avi_rate(rate: int, scale: int, frames: int) -> Callable[[bytes, random.Random], bytes]:
    def make(content: bytes, rng: random.Random) -> bytes:
        changed, at = bytearray(content), content.index(b"strh") + 8
        struct.pack_into("<II", changed, at + 20, scale & 0xFFFFFFFF, rate & 0xFFFFFFFF)
        struct.pack_into("<I", changed, at + 32, frames)
        return bytes(changed)

    return make


def _no_index(content: bytes, rng: random.Random) -> bytes:
    return content[: content.index(b"moov") - 4]


def _instead(replacement: bytes) -> Callable[[bytes, random.Random], bytes]:
    return lambda content, rng: replacement


def _noise(content: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(len(content))


def _noise_behind_the_header(content: bytes, rng: random.Random) -> bytes:
    return content[:64] + rng.randbytes(len(content) - 64)


def _still(content: bytes, rng: random.Random) -> bytes:
    import cv2

    return cv2.imencode(".jpg", clips.room(WIDTH, HEIGHT))[1].tobytes()


# Files that name another one: what a player would open, and nobody here may.
NAMED = "named.mp4"
ADDRESS = "http://127.0.0.1:9/stream.mp4"
_HLS = (
    f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{NAMED}\n#EXTINF:10,\n{ADDRESS}\n#EXT-X-ENDLIST\n" + "#\n" * 100
)
_CONCAT = f"ffconcat version 1.0\nfile {NAMED}\nfile {NAMED}\n" + "# and so on\n" * 20
_DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    f'<Representation id="0"><BaseURL>{NAMED}</BaseURL></Representation></AdaptationSet></Period></MPD>'
)
_UMLAUT = "# Aufnahme Türkamera é\n"

_MP4 = ("mp4", "mov")
_ALL = ("mp4", "mov", "mkv", "avi", "ts")
_ANY = ("mp4",)
_MOST = 2**32 - 1

DAMAGES = (
    Damage("a few bytes flipped", _ALL, _some_flipped),
    Damage("one byte in a hundred flipped", _ALL, _many_flipped),
    Damage("bytes of the header flipped", _ALL, _header_flipped),
    Damage("64 bytes in the middle flipped", _ALL, _pictures_flipped),
    Damage("4,096 bytes zeroed", _ALL, _sector_lost),
    Damage("cut at a random place", _ALL, _cut),
    Damage("cut in the first kilobyte", _ALL, _cut_early),
    Damage("the beginning lost", _ALL, _beginning_lost),
    Damage("a piece of the middle lost", _ALL, _middle_lost),
    Damage("a piece of the middle twice", _ALL, _doubled_middle),
    Damage("noise behind the first bytes", _ALL, _noise_behind_the_header),
    Damage("declares 0 x 0 pixels", ("mp4", "mov", "mkv", "avi"), _size(0, 0)),
    Damage("declares 100,000 x 100,000 pixels", ("mp4", "mov", "mkv", "avi"), _size(100_000, 100_000)),
    Damage("every picture claims 65,500 x 65,500 pixels", ("avi",), _giant_picture),
    Damage("every picture is 16,000 x 16,000 pixels by its settings", ("mov",), _giant_h264),
    Damage("declares a negative frame rate", ("avi",), _avi_rate(-10, 1, 40)),
    Damage("declares 0 / 0 frames a second", ("avi",), _avi_rate(0, 0, 40)),
    Damage("declares 4,294,967,295 frames", ("avi",), _avi_rate(10, 1, _MOST)),
    Damage("a clock of 0 ticks a second", _MP4, _boxes((b"mdhd", 12, bytes(4)), (b"mvhd", 12, bytes(4)))),
    Damage("a clock of 1 tick a second", _MP4, _boxes((b"mdhd", 12, struct.pack(">I", 1)))),
    Damage("declares 13 years", _MP4, _boxes((b"mdhd", 16, b"\xff" * 4), (b"mvhd", 16, b"\xff" * 4))),
    Damage("each frame lasts 2^31 ticks", _MP4, _boxes((b"stts", 12, b"\x7f\xff\xff\xff"))),
    Damage("each frame lasts -1 tick", _MP4, _boxes((b"stts", 12, b"\xff" * 4))),
    Damage("says that it holds 4,294,967,295 frames", _MP4, _boxes((b"stsz", 8, b"\xff" * 4))),
    Damage("frames lie beyond the end of the file", _MP4, _boxes((b"stco", 8, b"\x7f\xff\xff\xff"))),
    Damage("without its index", _MP4, _no_index),
    Damage("empty", _ANY, _instead(b"")),
    Damage("one byte", _ANY, _instead(b"\0")),
    Damage("noise", _ALL, _noise),
    Damage("a text", _ANY, _instead(b"This is a shopping list: milk, bread, a camera.\n" * 20)),
    Damage("a picture", _ANY, _still),
    Damage("a playlist that names another file and an address", _ANY, _instead(_HLS.encode())),
    Damage("the same, not in ASCII", _ANY, _instead((_HLS[:8] + _UMLAUT + _HLS[8:]).encode())),
    Damage("a list of files to join", _ANY, _instead(_CONCAT.encode())),
    Damage("the same, not in ASCII", _ANY, _instead((_CONCAT[:21] + _UMLAUT + _CONCAT[21:]).encode())),
    Damage("a manifest (DASH), not in ASCII", _ANY, _instead((_DASH + f"<!-- {_UMLAUT}-->").encode())),
)
