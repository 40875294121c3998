"""Signatures as the API reference shows them: with what a reader can use, and no private name."""

import ast
import re
from dataclasses import fields
from typing import Any

import griffe

PRIVATE = re.compile(r"(?<![\w.])_[A-Za-z]")
CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*")

Shown = griffe.Expr | str | None


class Signatures(griffe.Extension):
    """Shows what a constant or a private type stands for, and leaves private parameters out."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Change a package, before its dataclasses get their parameters from their fields."""
        for module in [pkg, *pkg.modules.values()]:
            if not module.is_alias:
                change(module)


def change(obj: griffe.Module | griffe.Class) -> None:
    """Change what a module or a class defines, and what that defines in its turn."""
    for name, member in list(obj.members.items()):
        if member.is_alias:
            continue
        if isinstance(obj, griffe.Class) and member.is_attribute and name.startswith("_"):
            del obj.members[name]  # nor is it a parameter of a dataclass
        if isinstance(member, griffe.Module | griffe.Class):
            change(member)
        if isinstance(member, griffe.Class):
            member.bases = [shown(base) for base in member.bases if not private(base)]
        elif isinstance(member, griffe.Function):
            for function in [member, *(member.overloads or ())]:
                change_function(function)
        elif isinstance(member, griffe.Attribute):
            member.annotation = shown(member.annotation)
            if not name.startswith("_") and PRIVATE.search(str(member.value or "")):
                member.value = None


def change_function(function: griffe.Function) -> None:
    """Change what a function takes and returns."""
    kept = [each for each in function.parameters if not each.name.startswith("_")]
    for parameter in kept:
        parameter.annotation = shown(parameter.annotation)
        parameter.default = default(parameter.default)
    function.parameters = griffe.Parameters(*kept)
    function.returns = shown(function.returns)


def default(expression: Shown) -> Shown:
    """The value of a constant, as far as it can be read; ``...`` for what stands for nothing."""
    if not isinstance(expression, griffe.ExprName):
        return expression
    if private(expression) or CONSTANT.fullmatch(expression.name):
        value = str(value_of(expression))
        try:
            ast.literal_eval(value)
        except ValueError:
            return "..." if private(expression) else expression
        return value
    return expression


def shown(expression: Any) -> Any:
    """A type with what its private names stand for; a type variable loses its underscore."""
    if isinstance(expression, list | tuple):
        return type(expression)(map(shown, expression))
    if isinstance(expression, griffe.ExprName):
        if not private(expression):
            return expression
        value = value_of(expression)
        variable = isinstance(value, griffe.ExprCall) and "TypeVar" in str(value.function)
        if isinstance(value, griffe.Expr) and not variable:
            return shown(value)
        return griffe.ExprName(expression.name.lstrip("_"))
    if isinstance(expression, griffe.Expr):
        changed = {each.name: shown(getattr(expression, each.name)) for each in fields(expression)}
        return type(expression)(**changed)
    return expression


def private(expression: Shown) -> bool:
    """Whether it is a name that only its module uses."""
    return isinstance(expression, griffe.ExprName) and bool(PRIVATE.match(expression.name))


def value_of(name: griffe.ExprName) -> Shown:
    """What a module assigns to a name."""
    try:
        found = name.resolved
    except (AttributeError, KeyError, TypeError):
        return None
    return getattr(found, "value", None)
