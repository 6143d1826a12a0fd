"""What a model refuses, as one sentence in the words of the file: what is wrong and what to write."""

import re
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel

from pc_pipeline.ingest.yaml_lines import Place

_EXAMPLES = {
    "timezone": "timezone: Europe/London",
    "from": "from: [0.5, 0.1]",
    "to": "to: [0.5, 0.9]",
    "in": "in: right",
    "points": "points: [[0.1, 0.1], [0.4, 0.1], [0.4, 0.4]]",
    "host": "host: mail.example.org",
    "sender": "sender: counts@example.org",
    "recipients": "recipients: [guard@example.org]",
    "channel": 'channel: "#doors"',
}

_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}


def sentence(found: Any, model: type[BaseModel]) -> str:
    """One of pydantic's `errors()` from validating `model`, as one sentence in the words of the file."""
    place, kind, value, facts = found["loc"], found["type"], found["input"], found.get("ctx", {})
    names = [part for part in place if part != "[key]"]
    # An item of a list is called by the list's key.
    key = next((str(part) for part in reversed(names) if isinstance(part, str)), "the file")
    around = ".".join(str(part) for part in place[:-1])
    if kind == "value_error":
        return f"{facts['error']}"
    if kind == "missing":
        owner = f"'{around}'" if around else "the file"
        return f"{owner} has no '{key}': add '{_EXAMPLES[key]}'"
    if kind == "extra_forbidden":
        known = _known_keys(model, place[:-1])
        near = get_close_matches(key, known, n=1, cutoff=0.6)
        hint = f"did you mean '{near[0]}'?" if near else f"the keys here are {', '.join(known)}"
        return f"unknown key '{key}'" + (f" in '{around}'" if around else "") + f": {hint}"
    if value is None:
        return f"'{key}' is empty: write a value or delete the line"
    if kind in ("float_type", "float_parsing", "int_type", "int_parsing", "int_from_float", "finite_number"):
        a_number = "a whole number" if kind.startswith("int") else "a number"
        return f"'{key}' must be {a_number}, not {shown(value)}{unquote(value)}"
    if kind == "literal_error":
        choices = facts["expected"].replace("'", "")
        return f"'{key}' must be {choices}, not {shown(value)}"
    if kind in _BOUNDS:
        words, fact = _BOUNDS[kind]
        return f"'{key}' must be {words} {facts[fact]:g}, not {value}"
    if kind == "string_type":
        quotes = ": put it in quotes" if isinstance(value, int | float) else ""
        return f"'{key}' must be text, not {shown(value)}{quotes}"
    if kind.startswith("bool"):
        return f"'{key}' must be true or false, not {shown(value)}"
    if kind.startswith("date"):
        return f"'{key}' must be a date such as 2026-03-01, not {shown(value)}"
    if kind == "too_short":
        return f"'{key}' is empty: list at least one"
    if kind == "list_type":
        return f"'{key}' must be a list such as [a, b], not {shown(value)}"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"'{key}' must hold keys of its own, indented below it, not {shown(value)}"
    return f"'{key}': {found['msg'][0].lower()}{found['msg'][1:]}"


def _known_keys(model: Any, place: Place) -> list[str]:
    """The keys the models allow at a place."""
    for part in place:
        if isinstance(model, type) and issubclass(model, BaseModel):
            fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
            model = fields[str(part)]
        else:
            # A mapping by name: dict[Name, Model].
            model = get_args(model)[1]
    return [field.alias or name for name, field in model.model_fields.items()]


def shown(value: Any) -> str:
    if isinstance(value, str):
        return f"the text '{value}'"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, bool):
        return str(value).lower()
    return "a list" if isinstance(value, list) and len(value) > 6 else str(value)


def unquote(value: Any) -> str:
    """How to write a text that begins with a number as the number."""
    number = re.match(r"\s*([-+]?\d+(?:[.,]\d+)?)\s*(\S*)", value) if isinstance(value, str) else None
    if number is None:
        return ""
    plain = number[1].replace(",", ".")
    if number[2] == "%":
        plain = f"{float(plain) / 100:g}"
    if number[2] == "ms":
        plain = f"{float(plain) / 1000:g}"
    return f": write {plain}, " + ("without quotes" if number[0] == number[1] else "the number alone")
