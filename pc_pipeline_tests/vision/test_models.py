"""Models by name: found, fetched with a checksum, verified; each failure is one sentence that says what to do."""

import functools
import hashlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pc_pipeline.errors import ConfigError, ModelCorrupt, ModelMissing
from pc_pipeline.vision import models
from pc_pipeline.vision.models import Download, Source, fetch, names_in, resolve, verify

XML, BIN = b"<net/>" * 100, bytes(range(256)) * 50


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A real HTTP server on loopback that offers a small model, `tiny`: (its URL, the folder it serves)."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    downloads = []
    for name, content in (("tiny.xml", XML), ("tiny.bin", BIN)):
        (folder / name).write_bytes(content)
        downloads.append(Download(name, len(content), hashlib.sha256(content).hexdigest()))
    monkeypatch.setitem(models.SOURCES, "tiny", Source("gender", "MIT", tuple(downloads)))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetched_whole_once_and_then_left_alone(mirror, tmp_path):
    url, served = mirror
    seen = []
    model = fetch("tiny", tmp_path / "models", url, lambda *progress: seen.append(progress))
    assert (model.kind, model.backend, model.files) == ("gender", "openvino", ("tiny.bin", "tiny.xml"))
    assert model.path is not None and model.path.read_bytes() == XML
    assert ("tiny.bin", len(BIN), len(BIN)) in seen
    assert [entry.name for entry in (tmp_path / "models").iterdir()] == ["tiny"]
    for file in served.iterdir():
        file.unlink()
    assert fetch("tiny", tmp_path / "models", url) == model == resolve("tiny", tmp_path / "models")


def test_a_download_that_differs_is_thrown_away(mirror, tmp_path):
    url, served = mirror
    (served / "tiny.bin").write_bytes(BIN[:-1])
    with pytest.raises(ModelCorrupt, match="differs from the known checksum"):
        fetch("tiny", tmp_path / "models", url)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_file_the_server_lacks_and_no_server_at_all(mirror, tmp_path):
    url, served = mirror
    (served / "tiny.xml").unlink()
    with pytest.raises(ModelMissing, match="tiny.xml cannot be downloaded"):
        fetch("tiny", tmp_path / "models", url)
    with pytest.raises(ModelMissing, match="check this machine's network"):
        fetch("tiny", tmp_path / "models", "http://127.0.0.1:1")
    with pytest.raises(ModelMissing, match="cannot be downloaded"):
        fetch("tiny", tmp_path / "models", "no url")


def test_files_changed_since_they_were_fetched_are_corrupt(mirror, tmp_path):
    fetch("tiny", tmp_path, mirror[0])
    (tmp_path / "tiny" / "tiny.bin").write_bytes(BIN + b"!")
    with pytest.raises(ModelCorrupt, match="differs from its checksum"):
        resolve("tiny", tmp_path)


def test_a_missing_model_says_how_to_get_it(tmp_path):
    with pytest.raises(ModelMissing, match="pc models fetch yolo11n"):
        resolve("yolo11n", tmp_path)
    with pytest.raises(ModelMissing, match="mine.onnx or mine.pt"):
        resolve("mine", tmp_path)
    with pytest.raises(ModelMissing, match="no known source"):
        fetch("mine", tmp_path)


def test_yolo_is_fetched_by_ultralytics_and_says_so_where_it_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ultralytics", None)
    with pytest.raises(ModelMissing, match=r"pip install 'pc_pipeline\[ultralytics\]'"):
        fetch("yolo11n", tmp_path)


@pytest.mark.parametrize("name", ["../secrets", "a/b", "", "a b"])
def test_a_name_is_not_a_path(tmp_path, name):
    with pytest.raises(ConfigError):
        resolve(name, tmp_path)


def _write(path: Path, content: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_the_fastest_form_for_this_machine_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "_has_cuda", lambda: False)
    for form, path in (
        ("mine.pt", "mine.pt"),
        ("mine.onnx", "mine.onnx"),
        ("mine_openvino_model", "mine_openvino_model/mine.xml"),
        ("mine_int8_openvino_model", "mine_int8_openvino_model/mine.xml"),
    ):
        _write(tmp_path / path)
        _write((tmp_path / path).with_suffix(".bin"))
        found = resolve("mine", tmp_path).path
        assert found is not None and found.relative_to(tmp_path).parts[0] == form
    monkeypatch.setattr(models, "_has_cuda", lambda: True)
    assert resolve("mine", tmp_path).path == tmp_path / "mine.pt"
    assert names_in(tmp_path)[0] == "hog" and "mine" in names_in(tmp_path)


def test_incomplete_and_empty_files_are_corrupt(tmp_path):
    _write(tmp_path / "mine" / "mine.xml")
    with pytest.raises(ModelCorrupt, match="weights mine.bin are missing"):
        resolve("mine", tmp_path)
    _write(tmp_path / "mine" / "mine.bin", b"")
    with pytest.raises(ModelCorrupt, match="is empty"):
        resolve("mine", tmp_path)


def test_the_hash_follows_the_content(tmp_path):
    _write(tmp_path / "mine.pt", b"one")
    first = resolve("mine", tmp_path).sha256
    assert first == hashlib.sha256(b"one").hexdigest()
    _write(tmp_path / "mine.pt", b"other")
    assert resolve("mine", tmp_path).sha256 != first


def test_verify_loads_what_is_there(tmp_path, models_dir):
    assert verify("yolo11n", models_dir).backend == "openvino"
    assert verify("hog", tmp_path).path is None
    _write(tmp_path / "mine" / "mine.xml", b"<net")
    _write(tmp_path / "mine" / "mine.bin")
    with pytest.raises(ModelCorrupt, match="OpenVINO cannot read it"):
        verify("mine", tmp_path)
