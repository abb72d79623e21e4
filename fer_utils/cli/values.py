"""Values that are typed as NAME=VALUE."""

import contextlib
from typing import Any

import yaml

from fer_utils.errors import StudyError


def parse_change(text: str, option: str) -> tuple[str, Any]:
    """Split NAME=VALUE and read the value as YAML.

    Args:
        text: what was typed.
        option: the command-line option, for the message.

    Raises:
        StudyError: there is no equals sign, or the value is not YAML.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise StudyError(f"{option}: expected NAME=VALUE, found {text!r}.")
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        raise StudyError(f"{option} {name}: expected a value in YAML, found {value!r}.") from None
    if isinstance(read, str):
        # YAML 1.1 reads 5e-4 as a text.
        with contextlib.suppress(ValueError):
            read = float(value)
    return name, read
