"""Values of the native library as the dataclasses of this package."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from typing import Any

from ._native.records import NATIVE


def from_native(value: Any) -> Any:
    """A value of the native library as one of this package. Their fields have the same names."""
    if isinstance(value, list):
        return [from_native(item) for item in value]
    if isinstance(value, Enum):
        return value.name.lower()
    kind = NATIVE.get(type(value))
    if kind is None:
        return value
    return kind(**{field.name: from_native(getattr(value, field.name)) for field in fields(kind)})
