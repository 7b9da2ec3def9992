"""The models of the official SDKs, whatever their language, and how an answer or an event differs from one.

A model is a mapping from a field's name to its type: ``"int"``, ``"str"``, ``"bool"``, ``"any"``, a model, or a list of
one of these.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Model = dict[str, Any]
Models = Callable[[str], Model]

_PLAIN: Mapping[str, tuple[type, ...]] = {"int": (int,), "str": (str,), "bool": (bool,), "any": (object,)}


def of_pydantic(*modules: types.ModuleType) -> Models:
    """Find models by name among the classes of modules of a Python SDK."""

    def find(name: str) -> Model:
        for module in modules:
            if inspect.isclass(found := getattr(module, name, None)):
                return _of_class(found)
        raise KeyError(name)

    return find


def _of_class(cls: Any) -> Model:
    fields = cls.model_fields.items()
    return {
        field.alias or name: _of_annotation(field.annotation)
        for name, field in fields
        if name != "additional_properties"
    }


def _of_annotation(annotation: Any) -> Any:
    arguments = [item for item in typing.get_args(annotation) if item is not type(None)]
    origin = typing.get_origin(annotation)
    if origin is list:
        return [_of_annotation(arguments[0])]
    if arguments and origin is not dict:
        return _of_annotation(arguments[0])  # Optional, Annotated
    if hasattr(annotation, "model_fields"):
        return _of_class(annotation)
    name = getattr(annotation, "__name__", "")
    return name if name in _PLAIN else "any"


_INTERFACE = re.compile(r"^interface (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^ +'?([\w]+)'?\??: ([^;]+);", re.MULTILINE)
_TYPES = {"string": "str", "boolean": "bool", "number": "int", "number | bigint": "int"}


def of_typescript(declarations: str) -> Models:
    """Find models by name among the interfaces of a TypeScript SDK's declarations (``index.d.ts``)."""
    bodies = dict(_INTERFACE.findall(declarations))
    spelled = {name.lower(): name for name in bodies}  # one SDK's ListenKeyExpired is the other's Listenkeyexpired

    def typed(text: str) -> Any:
        if text.startswith("Array<"):
            return [typed(text.removeprefix("Array<").removesuffix(">"))]
        if text in bodies:
            return find(text)
        return _TYPES.get(text, "any")

    def find(name: str) -> Model:
        return {field: typed(text) for field, text in _FIELD.findall(bodies[spelled[name.lower()]])}

    return find


def differences(model: Model, examples: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return how examples differ from their model: ``missing a.b``, ``extra a.b``, ``int a.b`` for a wrong type.

    A field is missing if no example has it: some come only with others. ``null`` stands for any type.
    """
    return set(_differences(model, list(examples), ""))


def _differences(model: Any, values: list[Any], where: str) -> Iterable[str]:
    values = [value for value in values if value is not None]
    if isinstance(model, list):
        if not all(isinstance(value, list) for value in values):
            yield f"no list {where}"
            return
        yield from _differences(model[0], [item for value in values for item in value], where)
    elif isinstance(model, dict):
        if not all(isinstance(value, Mapping) for value in values):
            yield f"no object {where}"
            return
        names = dict.fromkeys(name for value in values for name in value)
        for name in model.keys() - names.keys() if values else ():
            yield f"missing {where}{name}"
        for name in names:
            if name in model:
                inner = [value[name] for value in values if name in value]
                yield from _differences(model[name], inner, f"{where}{name}" + "." * (not isinstance(model[name], str)))
            else:
                yield f"extra {where}{name}"
    else:
        for value in values:
            if type(value) not in _PLAIN[model] and model != "any":
                yield f"{type(value).__name__} {where}"
