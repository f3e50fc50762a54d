"""Files of rules: names and numbers, of which none is passed over that is misspelt or no number."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from fissura.errors import InputError
from fissura.files.documents import read_yaml_nodes


def read_rules(path: Path, example: str) -> dict[Any, Any]:
    """Read a YAML file of rules, names and values as they stand there.

    Args:
        path: The file.
        example: What limits look like, in sentences that end a refusal.

    Raises:
        InputError: The file cannot be read or holds no rule, or a rule twice.
    """
    try:
        values, node = read_yaml_nodes(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as limits ({error}). {example}") from error
    if not values:
        raise InputError(f"{path} is empty: it holds no rule. {example}")
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise InputError(f"{path} is not a list of rules. {example}")
    keys = [key.value for key, _ in node.value]
    for key in values:
        if keys.count(key) > 1:
            raise InputError(f"{path} holds {key} {keys.count(key)} times. Keep one of them.")
    return values


def known_rule(path: Path, key: Any, known: Collection[str]) -> str:
    """Return the name of a rule.

    Args:
        path: The file.
        key: The name as it stands there.
        known: The names of all rules.

    Raises:
        InputError: There is no such rule.
    """
    if key in known:
        return key
    near = difflib.get_close_matches(str(key), known, n=1)
    guess = f" Did you mean {near[0]}?" if near else ""
    raise InputError(
        f"{path} holds a rule that Fissura does not know: {key}.{guess} It knows "
        f"{', '.join(known)}."
    )


def rule_number(path: Path, key: str, value: Any, *, whole: bool = False) -> float:
    """Return the value of a rule.

    Args:
        path: The file.
        key: The name of the rule.
        value: Its value as it stands there.
        whole: Whether it counts something.

    Raises:
        InputError: The value is no number, is negative, or is no whole number where it must be.
    """
    if value is None:
        wrong = "has no value. Write a number behind the colon, or remove the line."
    elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        wrong = f"is {value!r}; it must be a number, with a decimal point, such as 0.3."
    elif value < 0:
        wrong = f"is {value}; it must be 0 or more."
    elif whole and value != int(value):
        wrong = f"is {value}; it must be a whole number."
    else:
        return int(value) if whole else float(value)
    raise InputError(f"{path}: {key} {wrong}")
