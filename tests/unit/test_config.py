"""Where settings come from, which one wins, and what is said of wrong ones."""

from pathlib import Path
from typing import Any

import pytest

from happened import ConfigurationError, Domain
from happened.config import Config, load_config


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HAPPENED_STORAGE", raising=False)


def settings(
    tmp_path: Path,
    *,
    file: str | None = None,
    code: dict[str, Any] | None = None,
    variables: dict[str, str] | None = None,
) -> Config:
    if file is not None:
        (tmp_path / "pyproject.toml").write_text(file, encoding="utf-8")
    return load_config("shelf", code or {}, folder=tmp_path, variables=variables or {})


def problems(tmp_path: Path, **sources: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, **sources)
    start = "domain 'shelf': "
    assert all(problem.startswith(start) for problem in caught.value.problems)
    return tuple(problem.removeprefix(start) for problem in caught.value.problems)


FILE = '[tool.happened]\nstorage = "memory://file"\n'


def test_each_key_has_a_default(tmp_path: Path) -> None:
    config = settings(tmp_path)
    assert dict(config) == {
        "command_processing": "sync",
        "event_processing": "sync",
        "storage": "memory://",
        "broker": None,
    }
    assert len(config) == 4
    assert {config.source(key) for key in config} == {"default"}
    with pytest.raises(KeyError):
        config.source("storge")


@pytest.mark.parametrize(
    "sources,value,source",
    [
        ({"file": FILE}, "memory://file", "pyproject.toml"),
        ({"code": {"storage": "memory://code"}}, "memory://code", "code"),
        ({"variables": {"HAPPENED_STORAGE": "memory://env"}}, "memory://env", "HAPPENED_STORAGE"),
        ({"file": FILE, "code": {"storage": "memory://code"}}, "memory://code", "code"),
        (
            {
                "file": FILE,
                "code": {"storage": "memory://code"},
                "variables": {"HAPPENED_STORAGE": "memory://env"},
            },
            "memory://env",
            "HAPPENED_STORAGE",
        ),
    ],
)
def test_the_nearest_source_wins(
    tmp_path: Path, sources: dict[str, Any], value: str, source: str
) -> None:
    config = settings(tmp_path, **sources)
    assert config["storage"] == value
    assert config.source("storage").endswith(source)
    assert config["event_processing"] == "sync"


def test_the_nearest_file_with_the_table_counts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(FILE)
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text('[project]\nname = "a"\n[tool.ruff]\n')
    config = load_config("shelf", {}, folder=folder, variables={})
    assert config.source("storage") == str(tmp_path / "pyproject.toml")
    (folder / "pyproject.toml").write_text('[tool.happened]\nevent_processing = "sync"\n')
    config = load_config("shelf", {}, folder=folder, variables={})
    assert config["storage"] == "memory://"
    assert config.source("event_processing") == str(folder / "pyproject.toml")


def test_the_search_begins_in_the_current_folder_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    assert load_config("shelf", {}, variables={})["storage"] == "memory://file"


def test_every_mistake_of_every_source_is_told_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        file='[tool.happened]\nstorge = "x"\nevent_processing = 3\n',
        code={"brokr": "nats://", "command_processing": "sinc", "storage": "memry://"},
        variables={"HAPPENED_EVENT_PROCESING": "sync", "HAPPENED_STORAGE": "", "OTHER": "x"},
    )
    path = tmp_path / "pyproject.toml"
    assert found == (
        f"{path}: [tool.happened] storge is not a configuration key; did you mean 'storage'?",
        f"{path}: [tool.happened] event_processing=3: expected text, found int",
        "'brokr' is not a configuration key; did you mean 'broker'?",
        "command_processing='sinc': expected 'sync' or 'async'; did you mean 'sync'?",
        (
            "storage='memry://': no adapter for it; there is one for "
            "'memory://', 'postgresql://', 'sqlite://'"
        ),
        (
            "HAPPENED_EVENT_PROCESING is not a configuration key; "
            "did you mean 'HAPPENED_EVENT_PROCESSING'?"
        ),
        (
            "HAPPENED_STORAGE='': no adapter for it; there is one for "
            "'memory://', 'postgresql://', 'sqlite://'"
        ),
    )


@pytest.mark.parametrize(
    "code,problem",
    [
        ({"x": 1}, "'x' is not a configuration key"),
        ({"storage": Path("x")}, "storage=PosixPath('x'): expected text, found PosixPath"),
        ({"storage": "memory:"}, "storage='memory:': no adapter for it; there is one for 'mem"),
        ({"broker": "nats://x"}, "broker='nats://x': this release has no brokers; remove"),
        ({"event_processing": "later"}, "event_processing='later': expected 'sync'"),
        ({"command_processing": True}, "command_processing=True: expected text, found bool"),
        ({"command_processing": ["sync"]}, "expected text, found list"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, code: dict[str, Any], problem: str) -> None:
    (found,) = problems(tmp_path, code=code)
    assert problem in found


@pytest.mark.parametrize(
    "content,reason",
    [
        ("[tool.happened\n", "line 1"),
        ("tool = 3\n", "[tool.happened] is not a table"),
        ("[tool]\nhappened = 3\n", "[tool.happened] is not a table"),
        ("[[tool.happened]]\nstorage = 'memory://'\n", "[tool.happened] is not a table"),
    ],
)
def test_a_file_that_makes_no_sense_is_named(tmp_path: Path, content: str, reason: str) -> None:
    (found,) = problems(tmp_path, file=content)
    assert found.startswith(f"{tmp_path / 'pyproject.toml'}: it cannot be read: ")
    assert reason in found


def test_a_file_that_cannot_be_read_is_named_beside_the_other_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe")
    undecodable, other = problems(tmp_path, code={"x": 1})
    assert undecodable.startswith(f"{tmp_path / 'pyproject.toml'}: it cannot be read: 'utf-8'")
    assert other.startswith("'x'")

    def refuse(self: Path, encoding: str | None = None) -> str:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_text", refuse)
    (refused,) = problems(tmp_path)
    assert "it cannot be read: [Errno 13] Permission denied" in refused


def test_an_empty_table_ends_the_search(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(FILE)
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[tool.happened]\n")
    assert load_config("shelf", {}, folder=folder, variables={})["storage"] == "memory://"


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    url = "postgres://ann:secret@db:5432/shelf"
    (found,) = problems(tmp_path, variables={"HAPPENED_STORAGE": url})
    assert "postgres://ann:***@db:5432/shelf" in found
    assert "secret" not in repr(Config({"storage": url}, {}))
    assert "ann:***@db" in repr(Config({"storage": url}, {}))


@pytest.mark.parametrize("password", ["p@word", "p/word", "p@/w@ord", "p?word", "p?w@ord"])
def test_no_part_of_a_password_is_shown(password: str) -> None:
    shown = repr(Config({"storage": f"postgresql://ann:{password}@db:5432/shelf?schema=a"}, {}))
    assert "'postgresql://ann:***@db:5432/shelf?schema=a'" in shown


@pytest.mark.parametrize("name", ["password", "sslpassword"])
def test_no_password_in_a_parameter_is_shown(tmp_path: Path, name: str) -> None:
    url = f"postgresql://ann@db/shelf?{name}=secret&schema=a"
    assert f"'postgresql://ann@db/shelf?{name}=***&schema=a'" in repr(Config({"storage": url}, {}))
    assert f"?{name}=***'" in repr(Config({"storage": url.removesuffix("&schema=a")}, {}))
    (found,) = problems(tmp_path, variables={"HAPPENED_STORAGE": f"x{url}"})
    assert "secret" not in found


def test_it_cannot_be_changed() -> None:
    config: Any = Domain("shelf").config
    with pytest.raises(TypeError):
        config["storage"] = "memory://"


def test_a_variable_of_the_process_sets_a_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAPPENED_STORAGE", "memory://env")
    domain = Domain("shelf", storage="memory://code")
    assert domain.config["storage"] == domain.storage.url == "memory://env"
    monkeypatch.setenv("HAPPENED_STROAGE", "memory://env")
    with pytest.raises(ConfigurationError, match=r"HAPPENED_STROAGE.*'HAPPENED_STORAGE'"):
        Domain("shelf")


def test_the_arguments_of_a_domain_are_checked() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Domain("shelf", storge="memory://", event_processing="sinc")
    assert len(caught.value.problems) == 2
