"""Conditions choose rows and can do nothing else."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.common.condition import rows_where
from pipeline.contract import ConfigError

TABLE = pd.DataFrame(
    {
        "record": ["a", "b", "c", "d"],
        "subject": [1, 2, 3, -1],
        "class_name": ["jog", "clap", "jog", "it's"],
        "has_rgb": [True, False, True, True],
    },
    index=pd.Index(["w", "x", "y", "z"], name="id"),
)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("subject == 1", [0]),
        ("subject in (1, 3) and class_name != 'clap'", [0, 2]),
        ("subject in [2]", [1]),
        ("subject not in (1, 2)", [2, 3]),
        ("not (subject == 1 or subject == 2)", [2, 3]),
        ("1 < subject <= 3", [1, 2]),
        ("subject == -1", [3]),
        ("has_rgb", [0, 2, 3]),
        ("not has_rgb", [1]),
        ("has_rgb == False", [1]),
        ('class_name == "it\'s"', [3]),
        ("record in ('a', 'z')", [0]),
        ("subject == 9", []),
    ],
)
def test_rows_that_a_condition_holds_for(condition, rows):
    assert rows_where(TABLE, condition).tolist() == rows


@pytest.mark.parametrize(
    "hostile",
    [
        "__import__('os').system('touch owned')",
        "@pd.io.common.os.system('touch owned')",
        "@TABLE",
        "subject.__class__",
        "subject.values",
        "class_name.str.contains('j')",
        "`subject` == 1",
        "subject[0]",
        "subject + 1 == 2",
        "subject ** 999999999 == 1",
        "'a' * 99999999999 == class_name",
        "subject == (lambda: 1)()",
        "[x for x in subject]",
        "subject if has_rgb else has_rgb",
        "f'{subject}' == '1'",
        "(subject := 1) == 1",
        "subject = 1",
        "subject == 1; has_rgb",
        "import os",
        "subject == b'x'",
        "subject == None",
        "subject == 1j",
        "subject == ...",
        "subject is 1",
        "subject & 1",
        "~has_rgb",
        "*subject",
        "{1: 2}",
        "nobody == 1",
        "index == 1",
        "id == 'w'",
        "inf == 1",
        "subject == nan",
        "True",
        "1 == 1",
        "subject",
        "'x'",
        "",
        " ",
        "#",
        "\x00",
        "(" * 500 + "subject == 1" + ")" * 500,
        "not " * 100 + "has_rgb",
        "subject == 1 " + "and subject == 1 " * 9999,
        "-" * 5000 + "subject == 1",
        "subject < 'x'",
        "class_name in (1, (2, 3))",
    ],
)
def test_anything_else_is_refused_by_name(hostile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"wanted|columns are"):
        rows_where(TABLE, hostile)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_says_what_and_which_columns_there_are():
    with pytest.raises(ConfigError, match=r"names 'nobody', which is no column.*record, subject"):
        rows_where(TABLE, "nobody == 1")
    with pytest.raises(ConfigError, match=r"has 'subject\.values' in it"):
        rows_where(TABLE, "subject.values == 1")
