"""Models by name: which file a name means on this machine, where it comes from, and whether it is whole."""

import hashlib
import http.client
import importlib.util
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pc_pipeline.errors import ConfigError, ModelCorrupt, ModelMissing

OPEN_MODEL_ZOO = "https://storage.openvinotoolkit.org/repositories/open_model_zoo"
CHECKSUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Download:
    """One file of a known model: its place below the base URL, its size in bytes and its SHA-256."""

    url_path: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        return self.url_path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Source:
    """Where a known model comes from: files to download, or, for the YOLO family (none listed), Ultralytics itself."""

    kind: str
    licence: str
    downloads: tuple[Download, ...] = ()


_ATTRIBUTES = "2021.4/models_bin/3/person-attributes-recognition-crossroad-0230/FP16/"
SOURCES = {
    "yolo11n": Source("detector", "AGPL-3.0"),
    "yolo26n": Source("detector", "AGPL-3.0"),
    # Sizes and checksums from Open Model Zoo's own model.yml.
    "person-attributes-recognition-crossroad-0230": Source(
        "gender",
        "Apache-2.0",
        (
            Download(
                _ATTRIBUTES + "person-attributes-recognition-crossroad-0230.xml",
                189984,
                "9fc783a1234b6700d6f469b86e2d0c8a3f3059e53a07d4bcf34fe92a00296127",
            ),
            Download(
                _ATTRIBUTES + "person-attributes-recognition-crossroad-0230.bin",
                1469632,
                "0834f45ee09fef11fd3774005cff05bf9f14678eb7403a01cdfc0b8925f1ff3b",
            ),
        ),
    ),
}


@dataclass(frozen=True)
class ModelFile:
    """A model as it stands on this machine.

    Attributes:
        name: as in the configuration.
        kind: `detector` or `gender`.
        backend: `openvino`, `ultralytics` or `hog`.
        path: the file to load (the .xml of an OpenVINO export); None for what is built in.
        sha256: of all its files together (of the one file where there is one).
        files: names of those files.
    """

    name: str
    kind: str
    backend: str
    path: Path | None
    sha256: str
    files: tuple[str, ...]


def resolve(name: str, models_dir: Path) -> ModelFile:
    """The fastest form of a model on this machine.

    On a GPU `NAME.engine` or `NAME.pt`, else `NAME_int8_openvino_model/`, `NAME_openvino_model/`, `NAME/`,
    `NAME.onnx`, `NAME.pt`.

    Raises:
        ModelMissing: nothing of that name is there; the sentence says how to get it.
        ModelCorrupt: its files are incomplete, empty, or differ from their checksums.
        ConfigError: the name is no model name.
    """
    if name == "hog":
        return _builtin_hog()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ConfigError(f"model '{name}': a name has letters, digits, '.', '_' and '-' only, such as yolo11n")
    path = _find(name, models_dir)
    if path is None:
        raise ModelMissing(f"model '{name}' is not in {models_dir}: {_how_to_get(name)}")
    files = _files_of(path)
    _check_whole(path, files)
    kind = SOURCES[name].kind if name in SOURCES else "detector"
    backend = "openvino" if path.suffix in (".xml", ".onnx") else "ultralytics"
    digests = {file.name: _sha256(file) for file in files}
    _check_sums(path.parent, digests)
    return ModelFile(name, kind, backend, path, _together(digests), tuple(sorted(digests)))


def names_in(models_dir: Path) -> list[str]:
    """Known models and whatever else lies in `models_dir`, by name, sorted; `hog` first."""
    found = set(SOURCES)
    if models_dir.is_dir():
        for entry in models_dir.iterdir():
            stem = re.sub(r"(_int8)?_openvino_model$", "", entry.name)
            if entry.is_dir() and any(entry.glob("*.xml")):
                found.add(stem)
            elif entry.suffix in (".pt", ".onnx", ".engine"):
                found.add(entry.stem)
    return ["hog", *sorted(found)]


def verify(name: str, models_dir: Path) -> ModelFile:
    """Resolves a model, hashes its files anew and loads it.

    Raises:
        ModelMissing, ModelCorrupt: as `resolve`, and where the backend cannot load it.
    """
    _sha256_of.cache_clear()
    model = resolve(name, models_dir)
    if model.backend == "openvino":
        read_openvino(model)
    elif model.backend == "ultralytics":
        from pc_pipeline.vision.detect import load_detector

        load_detector(model, 0.25, 0.7, (0,), (640, 640))
    return model


def fetch(
    name: str,
    models_dir: Path,
    base_url: str = OPEN_MODEL_ZOO,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> ModelFile:
    """Gets a known model into `models_dir`: temporary folder, checksum, rename. A model that is there is left alone.

    Args:
        name: one of `SOURCES`.
        models_dir: created where it is missing.
        base_url: where Open Model Zoo's files are, for mirrors.
        on_progress: called with file name, bytes so far, bytes in all.

    Raises:
        ModelMissing: unknown name, no network, or the `ultralytics` extra is needed and not installed.
        ModelCorrupt: what was downloaded differs from its checksum.
    """
    if name == "hog":
        return _builtin_hog()
    if name not in SOURCES:
        raise ModelMissing(f"model '{name}' has no known source (known: {', '.join(SOURCES)}): {_how_to_get(name)}")
    if _find(name, models_dir) is not None:
        return resolve(name, models_dir)
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=models_dir) as temporary:
            if SOURCES[name].downloads:
                folder = Path(temporary) / name
                folder.mkdir()
                for download in SOURCES[name].downloads:
                    _download(base_url, download, folder, on_progress)
            else:
                folder = _export_yolo(name, Path(temporary))
            _write_sums(folder)
            folder.rename(models_dir / folder.name)
    except OSError as error:
        raise ModelMissing(f"model '{name}' cannot be stored in {models_dir} ({error.strerror or error})") from error
    return resolve(name, models_dir)


@cache
def openvino_core() -> Any:
    """The process's one OpenVINO core."""
    import openvino

    return openvino.Core()


def read_openvino(model: ModelFile) -> Any:
    """An OpenVINO network (IR or ONNX), not compiled.

    Raises:
        ModelCorrupt: OpenVINO cannot read it.
    """
    try:
        return openvino_core().read_model(model.path)
    except RuntimeError as error:
        raise ModelCorrupt(f"{model.path}: OpenVINO cannot read it; delete it and fetch it again") from error


def _builtin_hog() -> ModelFile:
    import cv2

    return ModelFile("hog", "detector", "hog", None, hashlib.sha256(f"hog{cv2.__version__}".encode()).hexdigest(), ())


def _find(name: str, models_dir: Path) -> Path | None:
    """The path to load for a name, by preference; None where there is nothing."""
    on_gpu = [models_dir / f"{name}.engine", models_dir / f"{name}.pt"]
    if any(path.is_file() for path in on_gpu) and _has_cuda():
        return next(path for path in on_gpu if path.is_file())
    for folder in (f"{name}_int8_openvino_model", f"{name}_openvino_model", name):
        networks = sorted((models_dir / folder).glob("*.xml"))
        if networks:
            return networks[0]
    return next((path for suffix in ("onnx", "pt") if (path := models_dir / f"{name}.{suffix}").is_file()), None)


def _has_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _how_to_get(name: str) -> str:
    if name in SOURCES:
        return f"get it with `pc models fetch {name}`, or point PC_MODELS_DIR at the folder that holds it"
    return f"put {name}_openvino_model/, {name}.onnx or {name}.pt there, or name another model in the configuration"


def _files_of(path: Path) -> list[Path]:
    """All files a model is loaded from."""
    if path.suffix == ".xml":
        return sorted(file for file in path.parent.iterdir() if file.is_file() and file.name != CHECKSUMS)
    return [path]


def _check_whole(path: Path, files: list[Path]) -> None:
    weights = path.with_suffix(".bin")
    if path.suffix == ".xml" and weights not in files:
        raise ModelCorrupt(f"{path}: its weights {weights.name} are missing; delete the folder and fetch it again")
    for file in files:
        if file.suffix != ".yaml" and file.stat().st_size == 0:
            raise ModelCorrupt(f"{file}: is empty (0 bytes); delete the model and fetch it again")


def _check_sums(folder: Path, digests: dict[str, str]) -> None:
    """Compares with the checksums written when the model was fetched, where there are any."""
    sums = folder / CHECKSUMS
    if not sums.is_file():
        return
    for line in sums.read_text().splitlines():
        expected, _, file_name = line.partition("  ")
        if digests.get(file_name, expected) != expected:
            raise ModelCorrupt(f"{folder / file_name}: differs from its checksum; delete {folder} and fetch it again")


def _write_sums(folder: Path) -> None:
    lines = [f"{_sha256(file)}  {file.name}\n" for file in sorted(folder.iterdir()) if file.is_file()]
    (folder / CHECKSUMS).write_text("".join(lines))


def _together(digests: dict[str, str]) -> str:
    if len(digests) == 1:
        return next(iter(digests.values()))
    return hashlib.sha256("".join(f"{sha}  {name}\n" for name, sha in sorted(digests.items())).encode()).hexdigest()


def _sha256(path: Path) -> str:
    facts = path.stat()
    return _sha256_of(path, facts.st_size, facts.st_mtime_ns)


@cache
def _sha256_of(path: Path, size: int, mtime_ns: int) -> str:
    """The hash of a file's content; size and mtime are only the cache's key."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(
    base_url: str, download: Download, folder: Path, on_progress: Callable[[str, int, int], None] | None
) -> None:
    url = f"{base_url.rstrip('/')}/{download.url_path}"
    target = folder / download.file_name
    digest, done = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=30) as response, target.open("wb") as file:
            while chunk := response.read(1 << 16):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if on_progress:
                    on_progress(download.file_name, done, download.size)
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ModelMissing(
            f"{url} cannot be downloaded ({reason}): check this machine's network, "
            "or copy the model into PC_MODELS_DIR from one that has it"
        ) from error
    if digest.hexdigest() != download.sha256:
        raise ModelCorrupt(
            f"{url}: what was downloaded ({done} bytes) differs from the known checksum ({download.size} bytes), "
            "and was thrown away; try again, or another network"
        )


def _export_yolo(name: str, folder: Path) -> Path:
    """Ultralytics downloads its own weights; they are exported once, with a shape that fits any video."""
    try:
        from ultralytics import YOLO
    except ImportError as error:
        raise ModelMissing(
            f"model '{name}' is downloaded and exported by Ultralytics (AGPL-3.0), which is not installed: "
            "`pip install 'pc_pipeline[ultralytics]'`, or copy an OpenVINO export into PC_MODELS_DIR"
        ) from error
    try:
        exported = YOLO(str(folder / f"{name}.pt")).export(format="openvino", dynamic=True)
    except Exception as error:  # Ultralytics raises anything, by what is missing
        raise ModelMissing(
            f"model '{name}' cannot be downloaded and exported by Ultralytics ({error}): check this machine's "
            "network, or copy an OpenVINO export into PC_MODELS_DIR"
        ) from error
    return Path(exported)
