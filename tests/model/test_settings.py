from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml

from model.errors import SettingsError
from model.recipe import Recipe, TrainingSettings
from model.settings import (
    NOT_CONFIGURABLE,
    RangeError,
    Rule,
    above,
    at_least,
    between,
    check,
    format_settings,
    load_settings,
    one_of,
)

TRAIN_YAML = Path(__file__).parents[2] / "configs" / "train.yaml"


@dataclass(frozen=True)
class Oven:
    degrees: int = 180
    minutes: float = 30.0
    pause_minutes: float = 5.0
    fan: bool = False
    grill: Literal["off", "low", "high"] = "off"
    level: Literal[1, 2, 3] = 2

    def __post_init__(self) -> None:
        check(
            self,
            between(30, 280, "degrees"),
            above(0, "minutes"),
            at_least(0, "pause_minutes"),
            Rule("must be below minutes", ("pause_minutes",), lambda m: m < self.minutes),
        )


@dataclass(frozen=True)
class Cake:
    name: str = "plain"
    recipe: Path | None = None
    toppings: tuple[str, ...] = ()
    layers_cm: tuple[float, ...] = (2.0,)
    grams: dict[str, int] = field(default_factory=dict)
    oven: Oven = Oven()
    baker: str = field(default="Ada", metadata=NOT_CONFIGURABLE)


@pytest.fixture
def cake_file(tmp_path: Path) -> Path:
    return tmp_path / "cake.yaml"


def load(path: Path, text: str | bytes, *overrides: str) -> Cake:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(Cake, path, overrides)


def problems(path: Path, text: str | bytes, *overrides: str) -> list[str]:
    """Return the reported lines, the file's folder left out."""
    with pytest.raises(SettingsError) as caught:
        load(path, text, *overrides)
    return str(caught.value).replace(f"{path.parent}/", "").splitlines()


def test_no_file_gives_the_defaults() -> None:
    assert load_settings(Cake, None) == Cake()


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "oven:\n", "oven: {}\ngrams:\n", "\ufeffoven:\r\n"]
)
def test_what_a_file_leaves_out_keeps_its_default(cake_file: Path, text: str) -> None:
    assert load(cake_file, text) == Cake()


def test_every_kind_of_value_is_read(cake_file: Path) -> None:
    text = """\
name: Sacher
recipe: recipes/sacher.txt
toppings: [cream, "no", no, 7]
layers_cm: [1, 2.5, 1e-1]
grams: {flour: 200, 1: 2}
oven: {degrees: 170, minutes: 45, fan: yes, grill: off, level: 3}
"""
    assert load(cake_file, text) == Cake(
        name="Sacher",
        recipe=Path("recipes/sacher.txt"),
        toppings=("cream", "no", "no", "7"),
        layers_cm=(1.0, 2.5, 0.1),
        grams={"flour": 200, "1": 2},
        oven=Oven(degrees=170, minutes=45.0, fan=True, level=3),
    )


def write_files(folder: Path, *texts: str) -> list[Path]:
    """Write one file after the other, named 0.yaml, 1.yaml and so on."""
    paths = [folder / f"{number}.yaml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def test_later_files_win_key_by_key_and_overrides_over_all(tmp_path: Path) -> None:
    files = write_files(
        tmp_path,
        "name: Sacher\nrecipe: old.txt\noven: {degrees: 170, minutes: 45}\ngrams: {flour: 200}\n",
        "# nothing\n",
        "oven:\ngrams: {sugar: 10, flour: 5}\nrecipe: ~\n",
        "oven: {degrees: 160, fan: true}\ntoppings: [cream]\n",
    )
    assert load_settings(Cake, files, ["oven.level=3"]) == Cake(
        name="Sacher",
        toppings=("cream",),
        grams={"flour": 5, "sugar": 10},
        oven=Oven(degrees=160, minutes=45.0, fan=True, level=3),
    )
    assert load_settings(Cake, []) == Cake()


def test_problems_of_several_files_name_each_place(tmp_path: Path) -> None:
    files = write_files(
        tmp_path,
        "oven: {degrees: 5}\nlayer: 1\nname: a\nname: b\n",
        "oven: {minutes: 3, level: 2}\nbakers: x\n",
        "oven: {level: 1, level: 3}\nname: c\n",
        "[1]\n",
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(Cake, files[:3])
    assert str(caught.value).replace(f"{tmp_path}/", "").splitlines() == [
        "0.yaml:1: oven.degrees: must be 30 to 280, got 5",
        "0.yaml:2: layer: is unknown; did you mean layers_cm?",
        "0.yaml:4: name: is given twice, first at 2.yaml:2; delete one",
        "1.yaml:1: oven.pause_minutes: must be below minutes, got 5.0 by default",
        "1.yaml:2: bakers: is unknown; the keys here are name, recipe, toppings, layers_cm, "
        "grams, oven",
        "2.yaml:1: oven.level: is given twice, first at 2.yaml:1; delete one",
    ]
    with pytest.raises(SettingsError, match=r"3\.yaml:1: must be a mapping of keys"):
        load_settings(Cake, [files[1], files[3]])


def test_a_missing_file_among_several_is_named(tmp_path: Path) -> None:
    files = [*write_files(tmp_path, "name: a\n"), tmp_path / "none.yaml"]
    with pytest.raises(SettingsError, match=r"none\.yaml: cannot be read"):
        load_settings(Cake, files)


def test_whole_numbers_become_floats_where_floats_are_wanted(cake_file: Path) -> None:
    assert type(load(cake_file, "oven: {minutes: 45}").oven.minutes) is float


def test_null_is_a_value_only_where_it_may_be(cake_file: Path) -> None:
    assert load(cake_file, "recipe: ~").recipe is None
    assert problems(cake_file, "name: ~") == [
        'cake.yaml:1: name: must be a text ("" for none), got null'
    ]


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("degrees: true", "degrees: must be a whole number, got true"),
        ("degrees: 180.0", "degrees: must be a whole number, got 180.0"),
        ("degrees: !!int hot", "degrees: must be a whole number, got !!int hot"),
        ("degrees: [1, 2]", "degrees: must be a whole number, got [1, 2]"),
        ("minutes: long", "minutes: must be a finite number, got long"),
        ("minutes: yes", "minutes: must be a finite number, got yes"),
        ("minutes: .inf", "minutes: must be a finite number, got .inf"),
        ("minutes: .nan", "minutes: must be a finite number, got .nan"),
        ("minutes: 1e999", "minutes: must be a finite number, got 1e999"),
        ("fan: 1", "fan: must be true or false, got 1"),
        ("fan: !!bool maybe", "fan: must be true or false, got !!bool maybe"),
        ("grill: hot", "grill: must be off, low or high, got hot"),
        ("level: 4", "level: must be 1, 2 or 3, got 4"),
        ("degrees: 20", "degrees: must be 30 to 280, got 20"),
        ("minutes: 0", "minutes: must be above 0, got 0"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(cake_file: Path, value: str, rule: str) -> None:
    assert f"cake.yaml:2: oven.{rule}" in problems(cake_file, f"oven:\n  {value}\n")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("toppings: cream", "toppings: must be a list such as [a, b], got cream"),
        ("layers_cm: [1, x]", "layers_cm[1]: must be a finite number, got x"),
        ("grams: 3", "grams: must be a mapping of keys to values, got 3"),
        ("grams: {flour: much}", "grams.flour: must be a whole number, got much"),
        ("oven: 200", "oven: must be a mapping of keys to values, got 200"),
        ("oven: !!python/object:os.system {}", "oven: must be a mapping of keys to values"),
        ('recipe: ""', 'recipe: must be a path, got ""'),
        ('recipe: "a\\0b"', 'recipe: must be a path, got "a\\0b"'),
        ("name: {a: b}", 'name: must be a text ("" for none), got {a: b}'),
        (f"toppings: {'x' * 500}", f"toppings: must be a list such as [a, b], got {'x' * 57}..."),
    ],
)
def test_a_wrong_shape_is_named(cake_file: Path, text: str, rule: str) -> None:
    [problem] = problems(cake_file, text)
    assert problem.startswith(f"cake.yaml:1: {rule}")


def test_all_problems_are_reported_at_once_in_the_order_of_the_lines(cake_file: Path) -> None:
    text = """\
oven:
  degrees: 500
  minutes: long
  speed: 3
nmae: Sacher
toppings: 3
"""
    assert problems(cake_file, text, "oven.fan=3", "oven.level=9") == [
        "cake.yaml:2: oven.degrees: must be 30 to 280, got 500",
        "cake.yaml:3: oven.minutes: must be a finite number, got long",
        "cake.yaml:4: oven.speed: is unknown; the keys here are "
        "degrees, minutes, pause_minutes, fan, grill, level",
        "cake.yaml:5: nmae: is unknown; did you mean name?",
        "cake.yaml:6: toppings: must be a list such as [a, b], got 3",
        "--set oven.fan=3: oven.fan: must be true or false, got 3",
        "--set oven.level=9: oven.level: must be 1, 2 or 3, got 9",
    ]


def test_a_key_in_the_wrong_section_is_sent_to_the_right_one(cake_file: Path) -> None:
    assert problems(cake_file, "degres: 200") == [
        "cake.yaml:1: degres: is unknown; did you mean degrees in the section oven?"
    ]


def test_a_field_that_is_not_configurable_is_unknown(cake_file: Path) -> None:
    [problem] = problems(cake_file, "baker: Grace")
    assert problem.startswith("cake.yaml:1: baker: is unknown")
    assert "baker" not in format_settings(Cake())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "name: a\noven:\n  fan: yes\n  fan: no\n",
            "cake.yaml:4: oven.fan: is given twice, first at cake.yaml:3; delete one",
        ),
        ("oven: {}\n\noven: {}\n", "cake.yaml:3: oven: is given twice, first at cake.yaml:1"),
        ("grams:\n  a: 1\n  a: 1\n", "cake.yaml:3: grams.a: is given twice, first at cake.yaml:2"),
    ],
)
def test_a_key_given_twice_names_both_lines(cake_file: Path, text: str, problem: str) -> None:
    [found] = problems(cake_file, text)
    assert found.startswith(problem)


def test_a_rule_on_a_default_points_at_the_key_that_breaks_it(cake_file: Path) -> None:
    assert problems(cake_file, "oven:\n  fan: yes\n  minutes: 3\n") == [
        "cake.yaml:3: oven.pause_minutes: must be below minutes, got 5.0 by default"
    ]


def test_no_rule_is_held_against_a_value_that_could_not_be_read(cake_file: Path) -> None:
    assert problems(cake_file, "oven:\n  minutes: x\n  pause_minutes: 40\n") == [
        "cake.yaml:2: oven.minutes: must be a finite number, got x"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("oven:\n  fan: [yes\n", "cake.yaml:3: is not YAML: "),
        ("a: 1\nb: c: d\n", "cake.yaml:2: is not YAML: "),
        ("name: a\n---\nname: b\n", "cake.yaml:2: is not YAML: "),
        ("a: 1\nb: \x07\n", "cake.yaml:2: is not YAML: it holds the character 0x7"),
        (b"a: 1\nb: \xff\n", "cake.yaml:2: is not UTF-8 text"),
        ("[" * 5000, "cake.yaml:1: is nested too deeply"),
        ("- name\n", "cake.yaml:1: must be a mapping of keys to values"),
        ("Sacher", "cake.yaml:1: must be a mapping of keys to values, got Sacher"),
    ],
)
def test_a_file_that_is_no_yaml_mapping(cake_file: Path, text: str, problem: str) -> None:
    [found] = problems(cake_file, text)
    assert found.startswith(problem)


def test_a_mapping_inside_itself_is_reported_and_not_followed(cake_file: Path) -> None:
    [problem] = problems(cake_file, "oven: &oven\n  degrees: *oven\n")
    assert problem.startswith("cake.yaml:2: is not YAML: the alias *oven stands for a value; write")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    with pytest.raises(SettingsError, match=rf"^{missing}: cannot be read \(No such file"):
        load_settings(Cake, missing)
    with pytest.raises(SettingsError, match=rf"^{tmp_path}: cannot be read \(Is a directory"):
        load_settings(Cake, tmp_path)


def test_overrides_win_over_the_file_and_the_last_one_wins(cake_file: Path) -> None:
    text = "name: a\noven: {degrees: 9999, fan: yes}\n"
    cake = load(cake_file, text, "oven.degrees=200", "name=b", 'name="c: d"', "toppings=[x]")
    assert cake == Cake("c: d", toppings=("x",), oven=Oven(200, fan=True))


def test_overrides_need_no_file() -> None:
    assert load_settings(Cake, None, ["oven.minutes=1e1", "recipe=a.txt", "grams.flour=3"]) == Cake(
        recipe=Path("a.txt"), grams={"flour": 3}, oven=Oven(minutes=10.0)
    )


def test_an_override_leaves_sections_that_share_an_anchor_alone(cake_file: Path) -> None:
    cake = load(cake_file, "grams: &x {a: 1}\noven: {}\n", "grams.a=2", "grams.b=3")
    assert cake.grams == {"a": 2, "b": 3}


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("oven.degrees", "must have the form section.key=value"),
        ("=3", "must have the form section.key=value"),
        ("oven..fan=yes", "must have the form section.key=value"),
        ("oven.degrees=5", "oven.degrees: must be 30 to 280, got 5"),
        ("oven.degrees=", "oven.degrees: must be a whole number, got null"),
        ("oven.pause_minutes=90", "oven.pause_minutes: must be below minutes, got 90"),
        ("oven.dgrees=5", "oven.dgrees: is unknown; did you mean degrees?"),
        ("toppings=[a", "is not YAML: "),
        ("name.first=b", 'name.first: has no place in "plain cake", cake.yaml:1; delete one'),
    ],
)
def test_a_wrong_override_is_named_as_it_was_given(
    cake_file: Path, override: str, problem: str
) -> None:
    [found] = problems(cake_file, 'name: "plain cake"\n', override)
    assert found.startswith(f"--set {override}: {problem}")


def test_settings_are_written_as_yaml_that_loads_again(cake_file: Path) -> None:
    cake = Cake("no", Path("a b"), ("1e-3", "", "~"), (1e-7, 3e22), {"1": 2}, Oven(fan=True))
    assert load(cake_file, format_settings(cake)) == cake


def test_a_value_that_is_no_choice_breaks_the_rule() -> None:
    with pytest.raises(RangeError, match="grill: must be low or high, got off"):
        check(Oven(), one_of(["low", "high"], "grill"))


def test_a_settings_class_names_every_broken_rule() -> None:
    with pytest.raises(RangeError) as caught:
        Oven(degrees=5, minutes=-1.0)
    assert str(caught.value) == (
        "degrees: must be 30 to 280, got 5; minutes: must be above 0, got -1.0; "
        "pause_minutes: must be below minutes, got 5.0"
    )


def test_the_training_configuration_gives_every_key_and_two_hours() -> None:
    recipe = load_settings(Recipe, TRAIN_YAML)
    two_hours = TrainingSettings(minutes=118.0, copies={"librispeech": 2})
    assert recipe == Recipe(training=two_hours)
    given = yaml.safe_load(TRAIN_YAML.read_text(encoding="utf-8"))
    full = yaml.safe_load(format_settings(recipe))
    assert {name: list(section) for name, section in given.items()} == {
        name: list(section) for name, section in full.items()
    }


def test_a_number_too_long_for_any_use_is_reported_at_once(cake_file: Path) -> None:
    for number in ("1" + ":59" * 100_000, "0b" + "1" * 20_000, "9" * 5_000):
        [problem] = problems(cake_file, f"oven:\n  degrees: {number}\n")
        assert problem.startswith("cake.yaml:2: oven.degrees: must be a whole number")


def test_aliases_that_multiply_are_reported_and_not_followed(cake_file: Path) -> None:
    lines = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    [problem] = problems(cake_file, "\n".join(["a0: &a0 [x]", *lines]))
    assert problem.startswith("cake.yaml:2: is not YAML: the alias *a0 stands for a value")


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    with pytest.raises(SettingsError, match=r"/dev/zero: cannot be read .it is larger than"):
        load_settings(Cake, Path("/dev/zero"))
