"""What the sections of the site file are made of: their common base, and the kinds of value in them."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator


def none_is_empty(value: Any) -> Any:
    """`lines:` with nothing below it means no lines."""
    return {} if value is None else value


def _name(name: str) -> str:
    if not (1 <= len(name) <= 64 and name.isprintable() and name == name.strip()):
        raise ValueError(f"the name '{name}' cannot be used: write 1 to 64 characters, with no space at either end")
    return name


def _text(text: str) -> str:
    if len(text) > 200 or not text.isprintable():
        raise ValueError(f"{ascii(text[:40])} cannot be used: write up to 200 characters that can be seen, on one line")
    return text


Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Seconds = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]
Whole = Annotated[int, Strict()]
Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, AfterValidator(_text)]


class Model(BaseModel):
    """A section: it cannot be changed once read, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return none_is_empty(value)
