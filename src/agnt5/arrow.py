"""Apache Arrow, if it is there: pyarrow is in the extra ``parquet``, pandas in ``dataframe``.

They are large and slow to import, so that happens when somebody asks for columns.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from agnt5.exceptions import ConfigurationError


def library(name: str, extra: str) -> Any:
    """A library of an extra.

    Args:
        name: The module.
        extra: The extra that has it.

    Raises:
        ConfigurationError: When it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"this needs {name.partition('.')[0]}, which is in the extra {extra!r}:"
            f" pip install 'agnt5-actors[{extra}]'"
        ) from error
