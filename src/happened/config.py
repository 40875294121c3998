"""Layer R. Configuration: the keys, their values, and where each value came from."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from happened.elements import nearest
from happened.errors import ConfigurationError
from happened.storage import storage_problem

__all__ = ["Config", "load_config"]


@dataclass(frozen=True, slots=True)
class _Key:
    default: str | None
    values: tuple[str, ...] = ()


_KEYS: Final = {
    "command_processing": _Key("sync", values=("sync", "async")),
    "event_processing": _Key("sync", values=("sync", "async")),
    "storage": _Key("memory://"),
    "broker": _Key(None),
}
_PREFIX: Final = "HAPPENED_"


class Config(Mapping[str, Any]):
    """The settings of one domain, checked; read-only.

    Example:
        >>> from happened import Domain
        >>> shelf = Domain("shelf", storage="memory://")
        >>> shelf.config["event_processing"], shelf.config.source("storage")
        ('sync', 'code')
    """

    def __init__(self, values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._sources = dict(sources)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        shown = (f"{key!r}: {_without_password(value)}" for key, value in self._values.items())
        return f"Config({{{', '.join(shown)}}})"

    def source(self, key: str) -> str:
        """Return where a value came from.

        Args:
            key: a configuration key.

        Returns:
            ``"default"``, ``"code"``, the path of a file, or the name of a variable.

        Raises:
            KeyError: there is no such key.
        """
        return self._sources[key]


def load_config(
    domain: str,
    options: Mapping[str, Any],
    *,
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Config:
    """Return the settings of a domain: a variable wins over code, code over the file.

    Args:
        domain: the name of the domain, for errors.
        options: what was given in code.
        folder: where the search for ``pyproject.toml`` begins; it goes on in the folders above.
            The current folder by default.
        variables: the environment; that of the process by default.

    Returns:
        Every key with its value; those that nobody set have their default.

    Raises:
        ConfigurationError: with every unknown key and value, and where it was set.

    Example:
        >>> from happened.config import load_config
        >>> load_config("shelf", {}, variables={"HAPPENED_STORAGE": "memory://"}).source("storage")
        'HAPPENED_STORAGE'
    """
    environment = os.environ if variables is None else variables
    found = {key: spec.default for key, spec in _KEYS.items()}
    sources = dict.fromkeys(_KEYS, "default")
    problems: list[str] = []
    layers = [
        *_file_settings(folder or Path.cwd(), problems),
        *((key, value, "code", repr(key)) for key, value in options.items()),
        *(
            (name.removeprefix(_PREFIX).lower(), value, name, name)
            for name, value in environment.items()
            if name.startswith(_PREFIX)
        ),
    ]
    for key, value, source, shown in layers:
        where = "" if source in ("code", shown) else f"{source}: "
        if key not in _KEYS:
            known = (_PREFIX + name.upper() if source == shown else name for name in _KEYS)
            near = nearest(shown if source == shown else key, known)
            problems.append(f"{where}{shown} is not a configuration key{near}")
            continue
        problem = _problem(key, value)
        if problem:
            setting = key if source == "code" else shown
            problems.append(f"{where}{setting}={_without_password(value)}: {problem}")
        found[key], sources[key] = value, source
    if problems:
        raise ConfigurationError(f"domain {domain!r}: {problem}" for problem in problems)
    return Config(found, sources)


def _problem(key: str, value: Any) -> str | None:
    spec = _KEYS[key]
    if not isinstance(value, str):
        return f"expected text, found {type(value).__name__}"
    if spec.values and value not in spec.values:
        allowed = " or ".join(map(repr, spec.values))
        return f"expected {allowed}{nearest(value, spec.values)}"
    if key == "broker":
        return "this release has no brokers; remove the setting"
    return storage_problem(value) if key == "storage" else None


def _without_password(value: object) -> str:
    shown = re.sub(r"(://[^/@:]*):(?:[^?]*|[^/]*)@", r"\1:***@", repr(value))
    return re.sub(r"(?<=[?&])((?:ssl)?password)=[^&']*", r"\1=***", shown)


def _file_settings(folder: Path, problems: list[str]) -> Iterator[tuple[str, Any, str, str]]:
    """The ``[tool.happened]`` table of the nearest ``pyproject.toml`` that has one."""
    for parent in (folder, *folder.parents):
        path = parent / "pyproject.toml"
        try:
            table = _tool_table(path) if path.is_file() else None
        except (OSError, ValueError) as error:
            problems.append(f"{path}: it cannot be read: {error}")
            return
        if table is not None:
            for key, value in table.items():
                yield key, value, str(path), f"[tool.happened] {key}"
            return


def _tool_table(path: Path) -> dict[str, Any] | None:
    """The ``[tool.happened]`` table of a file, ``None`` where it has none."""
    tools = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    table = tools.get("happened") if isinstance(tools, dict) else tools
    if table is None or isinstance(table, dict):
        return table
    raise ValueError("[tool.happened] is not a table")
