"""A YAML file as plain values, with the line of each, and everything wrong with it as sentences."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pc_pipeline.errors import ConfigError
from pc_pipeline.ingest.names import one_line

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.nodes import Node

Place = tuple[str | int, ...]

# A site of 200 cameras has some 10,000. Aliases of aliases may stand for more than any memory holds.
_MOST_VALUES = 50_000


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a site file.

    Attributes:
        line: in the file, from 1.
        message: one sentence: what is wrong and what to write.
    """

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return one_line(f"{self.file}:{self.line}: {self.message}")


class SiteFileError(ConfigError):
    """All that is wrong in a site file, in the order of its lines."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[Place, int], list[Problem]]:
    """The file as plain values, the line of each place in it, and what was wrong on the way."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"there is no site file {path}: write one (docs/configuration.md shows a whole one) or name another"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SiteFileError([Problem(str(path), line, "this is not UTF-8 text: save the file as UTF-8")]) from None
    except OSError as error:
        raise ConfigError(f"the site file {path} cannot be read: {error.strerror}") from None
    too_deep = Problem(str(path), 1, "the file is nested too deeply: a site file has a few levels")
    try:
        root = YAML(pure=True).compose(io.StringIO(text))
    except RecursionError:
        raise SiteFileError([too_deep]) from None
    except MarkedYAMLError as error:
        raise SiteFileError([_syntax_problem(path, text, error)]) from None
    except YAMLError as error:
        position = getattr(error, "position", None)
        line = text[:position].count("\n") + 1 if isinstance(position, int) else 1
        raise SiteFileError([Problem(str(path), line, "there is a control character here: delete it")]) from None
    if root is None:
        raise SiteFileError([Problem(str(path), 1, "the file is empty: write at least 'timezone: Europe/London'")])
    lines: dict[Place, int] = {}
    problems: list[Problem] = []

    def note(node: "Node", sentence: str) -> None:
        problems.append(Problem(str(path), node.start_mark.line + 1, sentence))

    def value_of(node: "Node", place: Place, parents: "tuple[Node, ...]") -> Any:
        if len(lines) >= _MOST_VALUES:
            many = f"this is more than {_MOST_VALUES:,} values, aliases counted each time: write fewer"
            raise SiteFileError([Problem(str(path), node.start_mark.line + 1, many)])
        lines.setdefault(place, node.start_mark.line + 1)
        if node in parents:
            note(node, "an alias (*) stands inside the very thing it names: write the values out")
            return None
        inside = (*parents, node)
        if isinstance(node, SequenceNode):
            return [value_of(item, (*place, i), inside) for i, item in enumerate(node.value)]
        if not isinstance(node, MappingNode):
            return _scalar(node)
        values: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, ScalarNode):
                note(key, "a key is one word, not a list or a mapping")
            elif key.value in values:
                first = lines[(*place, key.value)]
                note(key, f"'{key.value}' stands here for the second time (first on line {first}): rename or delete it")
            else:
                # A key is what is written, whatever YAML would make of it: a camera may be called 7 or on.
                lines[(*place, key.value)] = key.start_mark.line + 1
                values[key.value] = value_of(item, (*place, key.value), inside)
        return values

    try:
        tree = value_of(root, (), ())
    except RecursionError:
        raise SiteFileError([too_deep]) from None
    if not isinstance(tree, dict):
        problem = Problem(str(path), 1, "the file must be keys and values, such as 'timezone: Europe/London'")
        raise SiteFileError([problem])
    return tree, lines, problems


def _scalar(node: "Node") -> Any:
    """A scalar as YAML 1.2 has it (`no` and `on` are text), dates and times as their text."""
    text, kind = node.value, (node.tag or "").rpartition(":")[2]
    try:
        if kind == "int":
            return int(text.replace("_", ""), 0 if re.match(r"[-+]?0[xob]", text) else 10)
        if kind == "float":
            return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        return text
    return {"true": True, "false": False}[text.lower()] if kind == "bool" else None if kind == "null" else text


def _syntax_problem(path: Path, text: str, error: "MarkedYAMLError") -> Problem:
    """YAML's complaint as one sentence at the line that has to be changed."""
    mark = error.problem_mark or error.context_mark
    number = mark.line if mark is not None else 0
    rows = text.splitlines()
    row = rows[number] if number < len(rows) else ""
    complaint = (error.problem or error.context or "").strip()
    if "\t" in row[: len(row) - len(row.lstrip())] or "'\\t'" in complaint:
        sentence = "a tab stands here: YAML is indented with spaces"
    elif "mapping values are not allowed" in complaint:
        sentence = (
            "this ':' cannot stand here: the line is indented too far, holds two keys, or the line before lacks its ':'"
        )
    elif complaint.startswith("could not find expected ':'"):
        # The scanner notices on the next line; the context is where the key began.
        number = error.context_mark.line if error.context_mark is not None else number
        sentence = "a ':' is missing after the key"
    elif "but found '<stream end>'" in complaint or "found unexpected end of stream" in complaint:
        number = error.context_mark.line if error.context_mark is not None else number
        sentence = "a bracket or quote that opens here is never closed"
    elif complaint.startswith("expected ',' or"):
        number = error.context_mark.line if error.context_mark is not None else number
        sentence = "the bracket that opens here is not closed, or a ',' is missing in it"
    elif complaint.startswith("expected <block end>"):
        sentence = "this line is indented differently from those it belongs with"
    elif complaint.startswith("found undefined alias"):
        sentence = f"{complaint.removeprefix('found ')}: name it first with &, or put the text in quotes"
    elif "cannot start any token" in complaint:
        sentence = "put this text in quotes: its first character means something else in YAML"
    elif "found another document" in complaint:
        sentence = "'---' begins a second document here: a site file is one"
    else:
        sentence = f"this is not YAML: {complaint}"
    return Problem(str(path), number + 1, sentence)


def line_of(place: Place, lines: dict[Place, int]) -> int:
    """The line of a place, or of what is written nearest around it (pydantic names parts the file leaves out)."""
    known: Place = ()
    for part in place:
        if (*known, part) in lines:
            known = (*known, part)
    return lines.get(known, 1)
