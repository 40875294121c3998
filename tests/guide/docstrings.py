"""Checks what the reference says of each public name against its code."""

import ast
import doctest
import importlib
import inspect
import re
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import FunctionType

from tests.guide.made import Made
from tests.guide.masks import mask
from tests.guide.places import Guide
from tests.guide.running import Workplace, said, scratch

Function = ast.FunctionDef | ast.AsyncFunctionDef
SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Examples?|Attributes|Source|Note):$")
ITEM = re.compile(r"^ {4}(\*{0,2}[\w.]+)(?: \([^)]*\))?:")
PUBLIC_MODULES = ("happened", "happened.fields")
"""The modules whose ``__all__`` is public, and with them those that the reference names."""


@dataclass
class Docstring:
    """A docstring in its sections; the one called ``""`` is what stands before the first."""

    sections: dict[str, list[str]] = field(default_factory=dict)

    def items(self, section: str) -> list[str]:
        """Return the names that a section lists."""
        return [found[1] for line in self.sections.get(section, []) if (found := ITEM.match(line))]

    @property
    def examples(self) -> str:
        """The text of the example sections."""
        return "\n".join(self.sections.get("Example", []) + self.sections.get("Examples", []))


def parse(text: str) -> Docstring:
    """Return a docstring's sections, as Google's style has them."""
    found, name = Docstring({"": []}), ""
    for line in inspect.cleandoc(text).splitlines():
        if header := SECTION.match(line):
            name = header[1]
            found.sections[name] = []
        else:
            found.sections[name].append(line)
    return found


@cache
def tree(file: str) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(Path(file).read_text(encoding="utf-8"))


def node_of(value: object) -> tuple[str, ast.ClassDef | Function] | None:
    """Return the file and the definition of a class or a function of ours."""
    if not issubclass(type(value), type | FunctionType):  # `value` may answer for another object
        return None
    value = inspect.unwrap(value) if isinstance(value, FunctionType) else value
    module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if not str(module).startswith("happened"):
        return None
    file = str(importlib.import_module(str(module)).__file__)
    found: ast.AST | None = tree(file)
    for name in path.split("."):
        nodes = [n for n in ast.walk(found) if getattr(n, "name", None) == name] if found else []
        found = next((n for n in nodes if isinstance(n, ast.ClassDef | Function)), None)
    return (file, found) if isinstance(found, ast.ClassDef | Function) else None


def public_names(guide: Guide) -> dict[str, object]:
    """Return each public name with what it stands for, once for each thing."""
    modules = list(PUBLIC_MODULES)
    reference = guide.root / "docs" / "reference" / "api.md"
    if reference.exists():
        listed = re.findall(r"^::: ([\w.]+)", reference.read_text(encoding="utf-8"), re.MULTILINE)
        modules += [name for name in listed if (guide.root / "src" / module_path(name)).exists()]
    found: dict[str, object] = {}
    for name in dict.fromkeys(modules):
        module = importlib.import_module(name)
        for public in module.__all__:
            value = getattr(module, public)
            if not any(value is other for other in found.values()):
                found[f"{name}.{public}"] = value
    return found


def module_path(name: str) -> str:
    """Return where a module's file lies below the folder of sources."""
    return name.replace(".", "/") + ".py"


def check_public(name: str, value: object) -> list[str]:
    """Return what is missing or wrong in the docstrings of a public name."""
    found = node_of(value)
    if found is None:
        return check_value(name, value)
    _, node = found
    if not isinstance(node, ast.ClassDef):
        return check_function(name, node, shared="", alone=True)
    problems = check_class(name, node)
    assert isinstance(value, type)
    nodes = [node_of(base) for base in value.__mro__]
    bodies = [each[1] for each in nodes if each and isinstance(each[1], ast.ClassDef)]
    # Names that start with model_ are Pydantic's; its own reference describes them.
    examples = "\n".join(all_examples(body) for body in bodies)
    for body in bodies:
        for method in body.body:
            if isinstance(method, Function) and not method.name.startswith(("_", "model_")):
                problems += check_function(f"{name}.{method.name}", method, examples, alone=False)
    return problems


def check_value(name: str, value: object) -> list[str]:
    """See that a public value (no class, no function) has a docstring below it in its module."""
    module = importlib.import_module(name.rpartition(".")[0])
    short = name.rpartition(".")[2]
    package = Path(str(importlib.import_module("happened").__file__)).parent
    for file in [str(module.__file__), *map(str, sorted(package.rglob("*.py")))]:
        body = tree(file).body
        for node, below in pairwise(body):
            targets = (
                node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            )
            if any(isinstance(target, ast.Name) and target.id == short for target in targets):
                text = below.value if isinstance(below, ast.Expr) else None
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    return []
    return [f"{name}: has no docstring"]


def all_examples(node: ast.ClassDef) -> str:
    """Return the examples of a class and of its methods."""
    nodes: list[ast.ClassDef | Function] = [
        node,
        *(n for n in node.body if isinstance(n, Function)),
    ]
    return "\n".join(parse(ast.get_docstring(each) or "").examples for each in nodes)


def check_class(name: str, node: ast.ClassDef) -> list[str]:
    """Return what is wrong with a class's own docstring."""
    text = ast.get_docstring(node)
    if not text:
        return [f"{name}: has no docstring"]
    doc, problems = parse(text), []
    if ">>>" not in doc.examples:
        problems.append(f"{name}: has no Example that runs")
    making = next((n for n in node.body if isinstance(n, Function) and n.name == "__init__"), None)
    if making is not None:
        problems += [f"{name}: {text}" for text in wrong_arguments(making, doc)]
        problems += [f"{name}: {text}" for text in wrong_raises(making, doc)]
    return problems


def check_function(name: str, node: Function, shared: str, *, alone: bool) -> list[str]:
    """Return what is wrong with a function's docstring.

    Args:
        name: How it is called in messages.
        node: Its definition.
        shared: Examples of its class, which may show it.
        alone: Whether it stands alone, and so needs an example of its own.
    """
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    if decorators & {"overload", "typing.overload"} or any(
        d.endswith(".setter") for d in decorators
    ):
        return []
    text = ast.get_docstring(node)
    if not text:
        return [f"{name}: has no docstring"]
    if decorators & {"property", "cached_property", "functools.cached_property"}:
        return []
    doc = parse(text)
    problems = wrong_arguments(node, doc) + wrong_raises(node, doc) + wrong_returns(node, doc)
    if ">>>" not in doc.examples and (alone or not re.search(rf"\.{node.name}\b", shared)):
        problems.append(
            "has no Example that runs" + ("" if alone else ", nor does its class's call it")
        )
    return [f"{name}: {text}" for text in problems]


def wrong_arguments(node: Function, doc: Docstring) -> list[str]:
    """Compare the parameters with those that Args describes."""
    arguments = node.args
    taken = parameters(node)
    told = [name.lstrip("*") for name in doc.items("Args")]
    missing = [f"Args does not describe {name!r}" for name in taken if name not in told]
    unknown = [name for name in told if name not in taken and arguments.kwarg is None]
    return missing + [f"Args describes {name!r}, which it does not take" for name in unknown]


def parameters(node: Function) -> list[str]:
    """Return the names of the parameters that a caller gives."""
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args]
    if named and named[0].arg in ("self", "cls") and named[0].annotation is None:
        named = named[1:]
    named += arguments.kwonlyargs
    named += [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [each.arg for each in named if not each.arg.startswith("_")]


def wrong_returns(node: Function, doc: Docstring) -> list[str]:
    """See that what is returned or yielded is described.

    A function that takes nothing may do so in its first line alone.
    """
    returns = ast.unparse(node.returns) if node.returns else "None"
    if returns.strip("'\"") in ("None", "NoReturn", "Never"):
        return []
    if any(isinstance(each, ast.Yield | ast.YieldFrom) for each in own_nodes(node)):
        return [] if "Yields" in doc.sections else ["has no Yields"]
    told = "Returns" in doc.sections or not parameters(node)
    return [] if told else ["has no Returns"]


def own_nodes(node: Function) -> list[ast.AST]:
    """Return a function's nodes, those of functions and classes inside it left out."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        each = waiting.pop()
        found.append(each)
        if not isinstance(each, ast.ClassDef | Function | ast.Lambda):
            waiting += ast.iter_child_nodes(each)
    return found


def raised(nodes: list[ast.AST]) -> set[str]:
    """Return the names of the classes that these nodes raise themselves."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Raise) and node.exc is not None:
            value = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = ast.unparse(value).rpartition(".")[2]
            if name[:1].isupper():
                found.add(name)
    return found


@cache
def raised_anywhere(file: str) -> frozenset[str]:
    """Return the names of the classes that the package of this file raises."""
    package = next(each for each in Path(file).parents if each.name == "happened")
    nodes = [node for path in package.rglob("*.py") for node in ast.walk(tree(str(path)))]
    return frozenset(raised(nodes))


def wrong_raises(node: Function, doc: Docstring) -> list[str]:
    """Compare the errors that a function raises itself with those that Raises describes.

    ``Exception`` stands for whatever a user's own code raises.
    """
    told = {name.rpartition(".")[2] for name in doc.items("Raises")}
    own = raised(own_nodes(node))
    file = str(importlib.import_module("happened").__file__)
    nowhere = sorted(told - own - raised_anywhere(file) - {"Exception"})
    missing = [f"Raises does not describe {name}" for name in sorted(own - told)]
    return missing + [f"Raises describes {name}, which nothing raises" for name in nowhere]


class Checker(doctest.OutputChecker):
    """Compares what an example printed under the guide's masks."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Tell whether an answer is the one that was written."""
        return super().check_output(mask(want), mask(got), optionflags)


def run_examples(guide: Guide, place: str) -> Made:
    """Run the examples of a docstring, named as the census does: ``happened/module.py:line``."""
    made = Made()
    made.checked["docstring examples"].append(place)
    name, _, line = place.rpartition(":")
    file = guide.root / "src" / name
    text = next(
        text
        for node in ast.walk(tree(str(file)))
        if isinstance(node, ast.Module | ast.ClassDef | Function)
        and (text := ast.get_docstring(node, clean=False)) is not None
        and node.body[0].lineno == int(line)
    )
    said_wrong: list[str] = []
    flags = doctest.ELLIPSIS | doctest.REPORT_ONLY_FIRST_FAILURE
    with scratch() as folder, Workplace(folder) as workplace:
        globs = workplace.main.__dict__
        test = doctest.DocTestParser().get_doctest(text, globs, place, f"src/{name}", int(line) - 1)
        test.globs = globs  # the parser copies them; pydantic looks names up in the module
        runner = doctest.DocTestRunner(Checker(), verbose=False, optionflags=flags)
        run = workplace.call(
            lambda: runner.run(test, out=said_wrong.append, clear_globs=False), name
        )
    if run.error is not None:
        said_wrong.append(said(run.error))
    if said_wrong:
        made.problems.append(f"src/{place}: its example is wrong\n{''.join(said_wrong)}")
    return made
