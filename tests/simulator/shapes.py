"""The models of Binance's official clients, and what an answer has compared with them: fields and types.

A shape is a dictionary of paths (``result.orders[].symbol``) and the JSON types that are seen or allowed there.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, frozen

Shape = dict[str, set[str]]
#: a type of a model: the name of a JSON type, a model, an array of a type, or several types
Type = str | tuple[str, Any] | list[Any]

JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def shape_of(value: Any, path: str = "") -> Shape:
    """Return the shape of one JSON value."""
    if value == {}:
        return {path: {"object"}}
    if isinstance(value, dict):
        return _merged(shape_of(item, f"{path}.{name}".lstrip(".")) for name, item in value.items())
    if isinstance(value, list):
        return _merged(shape_of(item, f"{path}[]") for item in value)
    return {path: {JSON_TYPES[type(value)]}}


def shape_of_all(values: Iterable[Any]) -> Shape:
    """Return the common shape of several JSON values."""
    return _merged(shape_of(value) for value in values)


def _merged(shapes: Iterable[Shape]) -> Shape:
    merged: Shape = {}
    for shape in shapes:
        for path, types in shape.items():
            merged.setdefault(path, set()).update(types)
    return merged


@define
class Models:
    """Models by name, each the types of its fields, or a type that it is another name for."""

    fields: Callable[[str], Mapping[str, Type] | Type]

    def shape(self, name: str) -> Shape:
        """Return the shape that a model describes. Raises :class:`LookupError` if there is no such model."""
        if self.fields(name) == "any":
            raise LookupError(name)
        return self._shape(("model", name), "")

    def _shape(self, described: Type, path: str) -> Shape:
        if isinstance(described, list):
            return _merged(self._shape(one, path) for one in described)
        if isinstance(described, str):
            return {path: {described}}
        kind, what = described
        if kind == "array":
            return self._shape(what, f"{path}[]")
        fields = self.fields(what)
        if not isinstance(fields, Mapping):
            return self._shape(fields, path)
        return _merged(self._shape(field, f"{path}.{name}".lstrip(".")) for name, field in fields.items())


@frozen
class Difference:
    """What a shape has that its model has not, what it lacks, and where its types are others."""

    extra: list[str]
    missing: list[str]
    types: list[str]


def compare(seen: Shape, model: Shape, *, optional: Iterable[str] = ()) -> Difference:
    """Compare what was seen with a model. Fields named in ``optional`` may be missing; ``null`` may stand anywhere."""
    optional = set(optional)

    def known(path: str) -> bool:
        """Whether the model has this: by its name, as an object of fields, or as part of something untyped."""
        return path in model or any(
            other.startswith(f"{path}.") or ("any" in types and path.startswith(other))
            for other, types in model.items()
        )

    def there(path: str) -> bool:
        if path.replace("[]", "").rpartition(".")[2] in optional:
            return True
        return path in seen or ("any" in model[path] and any(other.startswith(path) for other in seen))

    return Difference(
        sorted(path for path in seen if not known(path)),
        sorted(path for path in model if not there(path)),
        sorted(
            f"{path}: {sorted(types)} for {sorted(model[path])}"
            for path, types in seen.items()
            if path in model and "any" not in model[path] and not types - {"null"} <= model[path]
        ),
    )


# -- Python


def python_models(module: Any) -> Models:
    """Return the models of an official Python client, which are pydantic's."""

    def fields(name: str) -> Mapping[str, Type] | Type:
        model = getattr(module, name)
        one_of = [field.annotation for key, field in model.model_fields.items() if key.startswith("oneof_schema")]
        if one_of:
            return [_python_type(annotation) for annotation in one_of]
        return {
            field.alias or key: _python_type(field.annotation)
            for key, field in model.model_fields.items()
            if key != "additional_properties"
        }

    return Models(fields)


def _python_type(annotation: Any) -> Type:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is list:
        return ("array", _python_type(arguments[0]))
    if origin is typing.Annotated:
        return _python_type(arguments[0])
    if origin is typing.Union or (origin is not None and type(None) in arguments):
        return [_python_type(argument) for argument in arguments if argument is not type(None)]
    if annotation in JSON_TYPES:
        return JSON_TYPES[annotation]
    if inspect.isclass(annotation) and hasattr(annotation, "model_fields"):
        return ("model", annotation.__name__)
    return "any"


# -- TypeScript

_REGION = re.compile(r"//#region (\S+)\n(.*?)//#endregion", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_INTERFACE = re.compile(r"^interface (\w+)(?:\$\d+)?(?: extends Array<([^{]+)>)? \{(.*?)^\}", re.DOTALL | re.MULTILINE)
_ALIAS = re.compile(r"^type (\w+)(?:\$\d+)? = (.*?);$", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^  ['\"]?([\w-]+)['\"]?\??: ([^;]+);$", re.MULTILINE)
_TYPESCRIPT = {
    "string": "string",
    "number": "integer",
    "bigint": "integer",
    "boolean": "boolean",
    "null": "null",
    "any": "any",
}


def typescript_models(declarations: str, place: str) -> Models:
    """Return the models of an official client for Node.js: those that its ``index.d.ts`` has from a folder."""
    known: dict[str, Mapping[str, Type] | Type] = {}
    for source, text in _REGION.findall(declarations):
        if place not in source:
            continue
        text = _COMMENT.sub("", text)
        for name, base, body in _INTERFACE.findall(text):
            own = {field: _typescript_type(kind) for field, kind in _FIELD.findall(body)}
            known[name] = ("array", _typescript_type(base)) if base else own
        for name, kind in _ALIAS.findall(text):
            kinds = re.findall(r"[A-Za-z]\w*", re.sub(r"\{[^{}]*\}|\$\d+", "", kind))  # ({e: 'a'} & A) | ({e: 'b'} & B)
            known[name] = [_typescript_type(one) for one in kinds]
    return Models(lambda name: known.get(name, "any"))


def _typescript_type(kind: str) -> Type:
    kind = re.sub(r"\$\d+", "", kind.strip())
    if (array := re.fullmatch(r"Array<(.*)>", kind, re.DOTALL)) is not None:
        return ("array", _typescript_type(array.group(1)))
    if kind.endswith("[]"):
        return ("array", _typescript_type(kind[:-2].strip("()")))
    if "|" in kind and "<" not in kind:
        return [_typescript_type(one) for one in kind.split("|")]
    return _TYPESCRIPT.get(kind) or ("model", kind)
