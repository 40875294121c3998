"""Runs the guide's programs and sessions, and makes their products again."""

from dataclasses import dataclass, field
from pathlib import Path

from pytest_examples import CodeExample

from tests.guide import sessions
from tests.guide.comments import several_lines, unclaimed, with_comments
from tests.guide.made import Made
from tests.guide.places import DIAGRAM, OUTPUT, PROGRAM, SESSIONS, TRACE, Guide
from tests.guide.running import Run, Workplace, line_of, said, scratch, short_traceback
from tests.guide.services import absent, flags, needs, places, required
from tests.guide.traces import trace_of

MERMAID_LINES = 2
"""A drawing has a first line that says what it is, and something drawn."""


@dataclass
class Ran:
    """A program that has run.

    Attributes:
        file: The copy that ran, as tracebacks name it.
        run: What it printed and raised.
        diagrams: The Mermaid texts that it drew, by the ending of their file.
        trace: The steps of the recorded run that it drew.
        opened: The files of its own folder that it opened.
    """

    file: str
    run: Run
    diagrams: dict[str, str] = field(default_factory=dict)
    trace: str | None = None
    opened: set[Path] = field(default_factory=set)


def chapter_of(guide: Guide, path: Path) -> Path:
    """Return the chapter's folder in which a file lies."""
    return guide.sources / path.relative_to(guide.sources).parts[0]


def run_program(guide: Guide, path: Path) -> Ran:
    """Run a program as ``python program.py`` does in a copy of its chapter's folder."""
    chapter = chapter_of(guide, path)
    with places(needs(path), path.stem) as variables, scratch(chapter) as folder:
        copy = folder / path.relative_to(chapter)
        with Workplace(copy.parent, [path.name], variables) as place:
            place.main.__file__ = str(copy)
            try:
                code = compile(
                    copy.read_text(encoding="utf-8"), str(copy), "exec", dont_inherit=True
                )
            except SyntaxError as error:
                return Ran(str(copy), Run(error=error))
            run = place.run(code)
            names = dict(place.main.__dict__)
    diagrams = {
        DIAGRAM if name == "diagram" else f".{name.removesuffix('_diagram')}{DIAGRAM}": text
        for name, text in names.items()
        if isinstance(text, str) and (name == "diagram" or name.endswith("_diagram"))
    }
    opened = {
        chapter / file.relative_to(folder) for file in place.opened if file.is_relative_to(folder)
    }
    drawn = {ending: f"{text.rstrip()}\n" for ending, text in diagrams.items()}
    return Ran(str(copy), run, drawn, trace_of(names), opened)


def make_program(guide: Guide, path: Path) -> Made:
    """Run a program and return its output, its diagrams, and its own text with true comments."""
    made, name = Made(), guide.name(path)
    source = made.read[path] = path.read_text(encoding="utf-8")
    said_first = flags(source)
    if why := absent(needs(path)):
        wait(made, name, 1, why)
        made.waiting["programs"].append(name)
        for file in [*guide.with_suffix(OUTPUT, DIAGRAM), *guide.traces]:
            if file.with_name(file.name.split(".")[0] + PROGRAM) == path:
                made.waiting[kind_of(file)].append(guide.name(file))
        return made
    ran = run_program(guide, path)
    made.problems += run_problems(name, ran, said_first.get("raises"))
    out = ran.run.out
    if ran.run.error is not None and not made.problems:
        out += short_traceback(ran.run.error, "  ")
    made.checked["programs"].append(name)
    if made.problems:
        return made
    made.files |= products(path, out, ran.diagrams, ran.trace)
    add_comments(made, path, name, source, ran.run)
    for file, text in made.files.items():
        if text is not None and file != path:
            made.checked[kind_of(file)].append(guide.name(file))
    return made


def products(
    path: Path, out: str, diagrams: dict[str, str], trace: str | None
) -> dict[Path, str | None]:
    """Return what the files that a program makes should hold; None for those left from before."""
    texts = {OUTPUT: out or None, TRACE: trace, **diagrams}
    found = {path.with_suffix(ending): text for ending, text in texts.items()}
    for left in path.parent.glob(f"{path.stem}*{DIAGRAM}"):
        if left.name.split(".")[0] == path.stem:
            found.setdefault(left, None)
    return found


def kind_of(product: Path) -> str:
    """Return as what a product is counted."""
    kinds = {OUTPUT: "outputs", TRACE: "traces", DIAGRAM: "diagrams"}
    return next(kind for ending, kind in kinds.items() if product.name.endswith(ending))


def wait(made: Made, name: str, line: int, why: str) -> None:
    """Note that something cannot be checked now; where services are required, that is wrong."""
    if required():
        made.problems.append(f"{name}:{line}: {why}")
    made.skipped = f"{name} {why}"


def run_problems(name: str, ran: Ran, raises: str | None) -> list[str]:
    """Return what a program's run did that no program may do."""
    error = ran.run.error
    problems = []
    if error is not None and type(error).__name__ != raises:
        line = line_of(error, ran.file) or 1
        expected = f"; its first lines say it raises {raises}" if raises else ""
        problems.append(f"{name}:{line}: raised {said(error).strip()}{expected}")
    if raises and error is None:
        problems.append(f"{name}:1: its first lines say it raises {raises}, but it raised nothing")
    for ending, text in ran.diagrams.items():
        if len(text.splitlines()) < MERMAID_LINES:
            problems.append(f"{name}:1: its drawing {ending} shows nothing: {text.strip()!r}")
    if ran.run.err:
        problems.append(
            f"{name}:1: wrote to standard error, which no page shows: {ran.run.err.strip()}"
        )
    return problems


def add_comments(made: Made, path: Path, name: str, source: str, run: Run) -> None:
    """Add a program's text with true ``#>`` comments to what is made."""
    example = CodeExample.create(source, path=path)
    for line in unclaimed(example, run.prints):
        made.problems.append(f"{name}:{line}: this #> comment follows no print that ran")
    for line in several_lines(example, run.prints):
        made.problems.append(f"{name}:{line}: prints several lines; leave its #> comment out")
    if not made.problems:
        made.files[path] = with_comments(example, run.prints, every=False)


def make_session(guide: Guide, path: Path) -> Made:
    """Run a session that has a file of its own, in a copy of its chapter's folder."""
    made, name = Made(), guide.name(path)
    body = made.read[path] = path.read_text(encoding="utf-8")
    with scratch(chapter_of(guide, path)) as folder:
        wanted = sessions.services(body, folder) if path.suffix == ".console" else []
        if why := absent(wanted):
            wait(made, name, 1, why)
            made.waiting["session files"].append(name)
            return made
        made.checked["session files"].append(name)
        try:
            if path.suffix == ".console":
                with places(wanted, path.stem) as variables:
                    made.files[path] = sessions.remake_console(body, folder, variables)
            else:
                with Workplace(folder) as place:
                    made.files[path] = sessions.remake_pycon(body, place, name)
        except sessions.SessionError as error:
            made.problems.append(f"{name}:{error.line}: {error}")
    return made


def check_data(guide: Guide, path: Path) -> Made:
    """Run the programs of a data file's chapter and see that one of them opens it."""
    made, chapter = Made(), chapter_of(guide, path)
    programs = [program for program in guide.programs if chapter_of(guide, program) == chapter]
    can_run = [program for program in programs if not absent(needs(program))]
    opened = any(path in run_program(guide, program).opened for program in can_run)
    if not opened and len(can_run) < len(programs):
        wait(made, guide.name(path), 1, "is opened by no program but one that needs a service")
        made.waiting["data files"].append(guide.name(path))
        return made
    made.checked["data files"].append(guide.name(path))
    if not opened:
        made.problems.append(f"{guide.name(path)}:1: no program of {chapter.name} opened it")
    return made


def make_source(guide: Guide, path: Path) -> Made:
    """Run what a file of docs_src holds, or what loads it, and return what is made from it."""
    if path.suffix == PROGRAM:
        return make_program(guide, path)
    return make_session(guide, path) if path.suffix in SESSIONS else check_data(guide, path)
