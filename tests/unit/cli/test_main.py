"""What ``happened`` itself does: it finds commands, and says in a line what is wrong."""

import importlib
import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

COMMANDS = [
    ["server"],
    ["status"],
    ["dead-letters", "list"],
    ["dead-letters", "show"],
    ["dead-letters", "retry"],
    ["dead-letters", "discard"],
    ["subscriptions", "remove"],
    ["replay"],
    ["projections", "list"],
    ["projections", "rebuild"],
    ["streams", "list"],
    ["streams", "show"],
    ["storage", "init"],
    ["storage", "check"],
    ["diagram"],
]
SHELF = 'from happened import Domain\nshelf = Domain("shelf")\n'


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_a_help_with_an_example_in_80_columns(
    command: list[str], run: Run
) -> None:
    ran = run(*command, "--help")
    assert ran.code == 0
    assert f"  Example:\n    happened {' '.join(command)} " in ran.out
    assert max(len(line) for line in ran.out.splitlines()) <= 80


def test_the_help_lists_every_command(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    listed = ran.out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(dict.fromkeys(c[0] for c in COMMANDS))
    assert "..." not in "".join(listed)


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version") == (0, f"happened {version('happened')}\n", "")


def test_wrong_arguments_end_with_2(run: Run) -> None:
    assert run("diagramm").code == 2
    assert "diagram" in run("diagramm").err
    assert run("server").code == 2
    assert run("server", "shop", "--workers", "0").code == 2


@pytest.mark.parametrize(
    "command",
    [[*command, "shop", *more] for command, more in zip(COMMANDS[:-1], [
        [], [], [], ["m1"], ["--all"], ["--all"], ["x"], ["x"], [], ["X"], [], ["order-7"], [], [],
    ], strict=True)],
    ids=" ".join,
)  # fmt: skip
def test_a_storage_that_nobody_else_can_see_is_refused(
    command: list[str], folder: Path, run: Run
) -> None:
    (folder / "shop.py").write_text(SHELF)
    ran = run(*command)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "happened: domain 'shelf' is stored in memory://, which no other process can see; give it "
        "a storage that lasts, such as HAPPENED_STORAGE=sqlite:///shop.db\n"
    )


@pytest.mark.parametrize("missing", ["typer", "rich", "prometheus_client"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    code = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"
        "from happened.cli import main\n"
        "sys.exit(main(['server', '--port', '0', 'shop']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"happened: the command line needs {missing}; pip install 'happened[cli]'\n"
    )


def test_the_core_imports_nothing_of_the_extra() -> None:
    code = (
        "import sys, happened.domain, happened.server, happened.cli\n"
        "sys.exit(str({'typer', 'rich', 'prometheus_client'} & set(sys.modules) or ''))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_the_package_can_be_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("happened.__main__")  # which does nothing by itself
    del sys.modules["happened.__main__"]
    monkeypatch.setattr(sys, "argv", ["happened", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("happened", run_name="__main__")
    assert ended.value.code == 0
