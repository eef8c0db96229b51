"""Settings: dataclasses that check their own ranges, read from YAML with every problem at once.

A settings class is a frozen dataclass whose fields all have defaults and are
typed ``bool``, ``int``, ``float``, ``str``, ``Path``, ``Literal``, ``X | None``,
``tuple[X, ...]``, ``dict[str, X]`` or another settings class, which makes a
section.  Fields with ``NOT_CONFIGURABLE`` as metadata stay out of the YAML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import ReaderError

from model.errors import SettingsError
from model.files import read_at_most

T = TypeVar("T")

LARGEST = 1 << 20
"""Bytes of the largest file that is read; those of people have some thousand."""

LONGEST_NUMBER = 60
"""Characters of the longest number that is read; YAML takes long for longer ones."""

LONGEST_SHOWN = 60
"""Characters of a received value that a report shows."""

TAG = "tag:yaml.org,2002:"
NULL, TEXT, MAPPING, SEQUENCE = (TAG + kind for kind in ("null", "str", "map", "seq"))
"""Tags by which YAML nodes tell their type."""

NOT_CONFIGURABLE: Mapping[str, bool] = MappingProxyType({"configurable": False})
"""Metadata of a field that is part of the value and not of its YAML."""


@dataclass(frozen=True)
class Rule:
    """What must hold for some fields of a settings class.

    Attributes:
        text: What must hold, such as ``must be below longest_s``; other fields are
            spelled as they are named, so that a report can point at them.
        names: Fields it is about, each checked alone.
        holds: Whether a value keeps it.
    """

    text: str
    names: tuple[str, ...]
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class BrokenRule:
    """A field that breaks a rule.

    Attributes:
        name: The field.
        text: The rule.
        value: Its value.
    """

    name: str
    text: str
    value: object

    def mentions(self, name: str) -> bool:
        """Whether the rule is about the field ``name`` or compares with it."""
        return name == self.name or name in re.findall(r"\w+", self.text)

    def __str__(self) -> str:
        return f"{self.name}: {self.text}, got {self.value}"


class RangeError(ValueError):
    """Values of a settings class break its rules; ``broken`` lists every one."""

    def __init__(self, broken: list[BrokenRule]) -> None:
        super().__init__("; ".join(map(str, broken)))
        self.broken = broken


def check(settings: object, *rules: Rule) -> None:
    """Hold a dataclass against its rules; called in ``__post_init__``.

    Raises:
        RangeError: If any is broken.
    """
    broken = [
        BrokenRule(name, rule.text, getattr(settings, name))
        for rule in rules
        for name in rule.names
        if not rule.holds(getattr(settings, name))
    ]
    if broken:
        raise RangeError(broken)


def between(lowest: float, highest: float, *names: str) -> Rule:
    """Return the rule that fields are ``lowest`` to ``highest``."""
    return Rule(f"must be {lowest} to {highest}", names, lambda value: lowest <= value <= highest)


def at_least(lowest: float, *names: str) -> Rule:
    """Return the rule that fields are not below ``lowest``."""
    return Rule(f"must be at least {lowest}", names, lambda value: bool(value >= lowest))


def above(limit: float, *names: str) -> Rule:
    """Return the rule that fields are above ``limit``."""
    return Rule(f"must be above {limit}", names, lambda value: bool(value > limit))


def span(name: str, lowest: float, highest: float) -> Rule:
    """Return the rule that a field is a range within another."""
    return Rule(
        f"must be a lowest and a highest value, {lowest} to {highest}",
        (name,),
        lambda bounds: len(bounds) == 2 and lowest <= bounds[0] <= bounds[1] <= highest,
    )


def one_of(choices: Sequence[object], *names: str) -> Rule:
    """Return the rule that fields have one of several values.

    A field whose type is a ``Literal`` keeps it when read from YAML; this holds for
    values from elsewhere too.
    """
    *others, last = map(str, choices)
    return Rule(f"must be {', '.join(others)} or {last}", names, choices.__contains__)


def load_settings(
    cls: type[T], path: Path | Sequence[Path] | None, overrides: Sequence[str] = ()
) -> T:
    """Read settings from YAML files; what they leave out keeps its default.

    Args:
        cls: A settings class, see the top of this module.
        path: The file, or several, of which a later one wins over those before it,
            key by key; None for the defaults.
        overrides: ``section.key=value`` each, the value in YAML; they win over the
            files, and the last one for a key wins.

    Raises:
        SettingsError: If a file cannot be read, is not YAML, or has unknown,
            duplicate, wrong-typed or out-of-range keys; every problem is a line of
            the message, with its place, key, rule and value.
    """
    reader = _Reader(cls)
    root: yaml.Node | None = None
    for file in [path] if isinstance(path, Path) else path or ():
        root = _joined(root, reader.read(file))
    for override in overrides:
        root = reader.override(root, override)
    settings = cls() if root is None else reader.section(cls, _Entry("", root.start_mark, root))
    if reader.problems:
        raise SettingsError("\n".join(map(str, sorted(reader.problems))))
    return cast(T, settings)


def format_settings(settings: object) -> str:
    """Return YAML from which :func:`load_settings` makes an equal value."""
    # Escaped to ASCII: PyYAML writes U+0085 plainly and reads it as a line break.
    return str(yaml.safe_dump(_plain(settings), sort_keys=False))


def _plain(value: Any) -> Any:
    """Return a value in terms that YAML knows."""
    if is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in _types(type(value))}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def _types(cls: Any) -> dict[str, Any]:
    """Return the type of each field that can be configured."""
    types = get_type_hints(cls)
    return {
        field.name: types[field.name]
        for field in fields(cls)
        if field.metadata.get("configurable", True)
    }


@dataclass(frozen=True, order=True)
class _Problem:
    """Something wrong; sorts by source, files before the overrides, and line."""

    source: int
    line: int
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass(frozen=True)
class _Entry:
    """A value as it was given: its dotted key, where it stands, and its YAML node."""

    key: str
    mark: yaml.Mark
    node: yaml.Node

    def inside(self, name: str) -> str:
        """Return the dotted key of ``name`` in this section."""
        return f"{self.key}.{name}" if self.key else name


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads YAML without aliases, by which a short text can stand for an endless one."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            problem = f"the alias *{event.anchor} stands for a value; write the value itself"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return cast("yaml.Node | None", super().compose_node(parent, index))


class _Reader:
    """Turns YAML nodes into settings and collects every problem.

    The nodes of later files and of overrides are laid into the first file's; the mark
    of each names the source that it came from.
    """

    def __init__(self, cls: type) -> None:
        self.problems: list[_Problem] = []
        self._cls = cls
        self._files: list[str] = []
        self._sources: list[str] = []

    def read(self, path: Path) -> yaml.Node | None:
        """Return the root of a file; None where it is empty or cannot be read."""
        file = str(path)
        self._files.append(file)
        self._sources.append(file)
        try:
            with path.open("rb") as content:
                text = read_at_most(content, LARGEST).decode("utf-8-sig")
        except OSError as error:
            reason = error.strerror or str(error)
            self._add(_mark(file, -1), f"cannot be read ({reason}); give the path of a YAML file")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start)
            self._add(_mark(file, line), "is not UTF-8 text; save it as UTF-8")
        else:
            return self._compose(text, file)
        return None

    def override(self, root: yaml.Node | None, override: str) -> yaml.Node | None:
        """Return ``root`` with the value of ``section.key=value`` laid into it."""
        source = f"--set {override}"
        self._sources.append(source)
        path, equals, text = override.partition("=")
        names = path.strip().split(".")
        mark = _mark(source, buffer=override)
        if not equals or not all(names):
            self._add(mark, "must have the form section.key=value")
            return root
        before = len(self.problems)
        value = self._compose(text, source)
        if len(self.problems) > before:
            return root
        return self._laid(root, names, value or yaml.ScalarNode(NULL, "", mark, mark), mark)

    def section(self, cls: Any, section: _Entry) -> Any:
        """Return an instance of ``cls``, or None where its values break a rule."""
        types, entries = _types(cls), self._entries(section)
        values, failed = {}, []
        for name, entry in entries.items():
            before = len(self.problems)
            if name not in types:
                self._add(entry.mark, self._unknown(name, types), entry.key)
                continue
            value = self._value(types[name], entry)
            if len(self.problems) > before:
                failed.append(name)
            else:
                values[name] = value
        try:
            return cls(**values)
        except RangeError as error:
            for broken in error.broken:
                if not any(map(broken.mentions, failed)):
                    self._add_broken(broken, entries, section)
            return None

    def _value(self, kind: Any, entry: _Entry) -> Any:
        """Return a value as the type ``kind``; None, and a problem, where it is not of it."""
        origin, arguments = get_origin(kind), get_args(kind)
        if is_dataclass(kind):
            return self.section(kind, entry)
        if origin is UnionType:
            [kind] = [argument for argument in arguments if argument is not NoneType]
            return None if entry.node.tag == NULL else self._value(kind, entry)
        if origin is tuple:
            return self._items(arguments[0], entry)
        if origin is dict:
            entries = self._entries(entry)
            return {name: self._value(arguments[1], item) for name, item in entries.items()}
        return self._scalar(kind, entry)

    def _items(self, kind: Any, entry: _Entry) -> Any:
        if entry.node.tag != SEQUENCE or not isinstance(entry.node, yaml.SequenceNode):
            return self._add_value(entry, "must be a list such as [a, b]")
        return tuple(
            self._value(kind, _Entry(f"{entry.key}[{index}]", item.start_mark, item))
            for index, item in enumerate(entry.node.value)
        )

    def _scalar(self, kind: Any, entry: _Entry) -> Any:
        choices = get_args(kind)
        read, rule = _SCALARS[type(choices[0]) if choices else kind]
        if choices:
            rule = f"must be {', '.join(map(str, choices[:-1]))} or {choices[-1]}"
        try:
            if not isinstance(entry.node, yaml.ScalarNode):
                raise ValueError("not a scalar")
            value = read(entry.node)
            if choices and value not in choices:
                raise ValueError("not a choice")
        except (ValueError, ArithmeticError, LookupError, AttributeError, yaml.YAMLError):
            return self._add_value(entry, rule)
        return value

    def _entries(self, section: _Entry) -> dict[str, _Entry]:
        """Return a mapping's values by name; none, and a problem, where it is no mapping."""
        if section.node.tag == NULL:
            return {}
        if section.node.tag != MAPPING or not isinstance(section.node, yaml.MappingNode):
            self._add_value(section, "must be a mapping of keys to values")
            return {}
        entries: dict[str, _Entry] = {}
        for key, node in section.node.value:
            entry = _Entry(section.inside(_name(key)), key.start_mark, node)
            first = entries.setdefault(_name(key), entry)
            if first is not entry:
                place = self._place(first.mark)
                self._add(entry.mark, f"is given twice, first at {place}; delete one", entry.key)
        return entries

    def _laid(
        self, node: yaml.Node | None, names: Sequence[str], value: yaml.Node, mark: yaml.Mark
    ) -> yaml.Node:
        """Return a copy of ``node`` in which ``names`` lead to ``value``."""
        if not names:
            return value
        if node is None or node.tag == NULL:
            end = _mark(mark.name, buffer=mark.buffer, pointer=len(mark.buffer))
            node = yaml.MappingNode(MAPPING, [], mark, end)
        if not isinstance(node, yaml.MappingNode):
            text = f"has no place in {_shown(node)}, {self._place(node.start_mark)}; delete one"
            self._add(mark, text, mark.buffer.partition("=")[0])
            return node
        pairs = list(node.value)
        for index, (key, old) in enumerate(pairs):
            if _name(key) == names[0]:
                at = key if names[1:] else _key(names[0], mark)
                pairs[index] = (at, self._laid(old, names[1:], value, mark))
                break
        else:
            pairs.append((_key(names[0], mark), self._laid(None, names[1:], value, mark)))
        return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)

    def _compose(self, text: str, source: str) -> yaml.Node | None:
        """Return the root of a YAML text; None where it is empty or no YAML."""
        try:
            loader = _Loader(text)
            loader.name = source
            return loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            reason = ", ".join(filter(None, (error.context, error.problem)))
            self._add(mark, f"is not YAML: {reason}; a text with special characters needs quotes")
        except ReaderError as error:
            mark = _mark(source, text.count("\n", 0, error.position))
            self._add(mark, f"is not YAML: it holds the character {error.character:#x}; delete it")
        except RecursionError:
            self._add(_mark(source), "is nested too deeply")
        return None

    def _unknown(self, name: str, types: Mapping[str, Any]) -> str:
        """Return what is wrong with a key that is in none of ``types``, with a suggestion."""
        near = get_close_matches(name, types, 1)
        if near:
            return f"is unknown; did you mean {near[0]}?"
        for section, cls in _types(self._cls).items():
            near = get_close_matches(name, _types(cls), 1) if is_dataclass(cls) else []
            if near:
                return f"is unknown; did you mean {near[0]} in the section {section}?"
        return f"is unknown; the keys here are {', '.join(types)}"

    def _add_broken(
        self, broken: BrokenRule, entries: Mapping[str, _Entry], section: _Entry
    ) -> None:
        """Note a broken rule where its key stands, or else a key that it compares with."""
        if broken.name in entries:
            entry = entries[broken.name]
            # A rule about a field of a section tells that field's value, not the section's.
            of_section = entry.node.tag == MAPPING and not isinstance(broken.value, Mapping)
            got = str(broken.value) if of_section else _shown(entry.node)
            self._add(entry.mark, f"{broken.text}, got {got}", entry.key)
            return
        related = (entry for name, entry in entries.items() if broken.mentions(name))
        text = f"{broken.text}, got {broken.value} by default"
        self._add(next(related, section).mark, text, section.inside(broken.name))

    def _add_value(self, entry: _Entry, rule: str) -> None:
        self._add(entry.mark, f"{rule}, got {_shown(entry.node)}", entry.key)

    def _add(self, mark: yaml.Mark, text: str, key: str = "") -> None:
        self.problems.append(
            _Problem(
                self._sources.index(mark.name),
                mark.line,
                self._place(mark),
                f"{key}: {text}" if key else text,
            )
        )

    def _place(self, mark: yaml.Mark) -> str:
        """Return where a mark is: a line of a file, or the override it came with."""
        in_file = mark.name in self._files and mark.line >= 0
        return f"{mark.name}:{mark.line + 1}" if in_file else str(mark.name)


def _joined(before: yaml.Node | None, after: yaml.Node | None) -> yaml.Node | None:
    """Return ``before`` with the values of ``after`` in place of its own.

    A key that either holds twice stays there twice, to be reported.
    """
    if after is None or (after.tag == NULL and isinstance(before, yaml.MappingNode)):
        return before
    if not isinstance(before, yaml.MappingNode) or not isinstance(after, yaml.MappingNode):
        return after
    places: dict[str, int] = {}
    for place, (key, _) in enumerate(before.value):
        places.setdefault(_name(key), place)
    pairs = list(before.value)
    for key, node in after.value:
        place = places.pop(_name(key), -1)
        if place < 0:
            pairs.append((key, node))
        else:
            pairs[place] = (key, _joined(pairs[place][1], node))
    return yaml.MappingNode(before.tag, pairs, before.start_mark, before.end_mark)


def _mark(source: str, line: int = 0, buffer: str = "", pointer: int = 0) -> yaml.Mark:
    """Return a place in a source; line -1 is the source as a whole."""
    return yaml.Mark(source, pointer, line, 0, buffer, pointer)


def _key(name: str, mark: yaml.Mark) -> yaml.Node:
    return yaml.ScalarNode(TEXT, name, mark, mark)


def _name(key: yaml.Node) -> str:
    return str(key.value) if isinstance(key, yaml.ScalarNode) else _shown(key)


def _shown(node: yaml.Node) -> str:
    """Return a node as it was written, on one line and not too long."""
    if node.tag == NULL:
        return "null"
    buffer, start, end = node.start_mark.buffer, node.start_mark.pointer, node.end_mark.pointer
    text = " ".join(buffer[start:end].split())
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."


def _constructed(node: yaml.ScalarNode, *kinds: type) -> Any:
    """Return a scalar's value by YAML's own rules if its type is one of ``kinds``."""
    if len(node.value) > LONGEST_NUMBER:
        raise ValueError("is too long")
    value = SafeConstructor().construct_object(node)
    if type(value) not in kinds:
        raise ValueError(f"is of type {type(value)}")
    return value


def _boolean(node: yaml.ScalarNode) -> bool:
    return bool(_constructed(node, bool))


def _whole(node: yaml.ScalarNode) -> int:
    return int(_constructed(node, int))


def _number(node: yaml.ScalarNode) -> float:
    """Return a finite number; ``1e-3``, which YAML 1.1 calls a text, is one as well."""
    exponent = re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", node.value)
    value = float(node.value) if exponent else float(_constructed(node, int, float))
    if not math.isfinite(value):
        raise ValueError("is not finite")
    return value


def _text(node: yaml.ScalarNode) -> str:
    """Return a text as written, also where YAML would read a number, as in ``device: 2``."""
    if node.tag not in {TEXT, *(TAG + kind for kind in ("int", "float", "bool", "timestamp"))}:
        raise ValueError(f"is of type {node.tag}")
    return str(node.value)


def _path(node: yaml.ScalarNode) -> Path:
    text = _text(node)
    if not text or "\0" in text:
        raise ValueError("names no file")
    return Path(text)


_SCALARS: Mapping[type, tuple[Callable[[yaml.ScalarNode], Any], str]] = {
    bool: (_boolean, "must be true or false"),
    int: (_whole, "must be a whole number"),
    float: (_number, "must be a finite number"),
    str: (_text, 'must be a text ("" for none)'),
    Path: (_path, "must be a path"),
}
"""How a scalar of each type is read, and what it must be."""
