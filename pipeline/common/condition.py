"""A condition on the columns of a table, such as ``subject in (1, 3) and action != 2``.

It is text that a person or a file gives, so it is parsed before anything is made of it and only
comparisons with constants, ``in``, ``and``, ``or`` and ``not`` pass: no call, no attribute, no
index, no arithmetic, no variable of the program. What passes is given to pandas, whose own
evaluation in Python it is a part of.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ConfigError

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 10_000
"""Characters; a parser of Python can be exhausted by deep nesting."""
DEEPEST = 40
_CONSTANTS = (int, float, str, bool)
_ALLOWED = (
    *(ast.Expression, ast.Load, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub),
    *(ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn),
    *(ast.Name, ast.Constant, ast.Tuple, ast.List),
)


def rows_where(table: pd.DataFrame, condition: str, refusal: str = "") -> NDArray[np.int64]:
    """The positions of the rows of a table that a condition holds for, in their order.

    Args:
        table: Its columns are what a condition can name.
        condition: Text that a person gave.
        refusal: What a refusal says before its reason, such as ``is no condition``.

    Example:
        >>> import pandas as pd
        >>> people = pd.DataFrame({"subject": [1, 2, 3], "name": ["jog", "clap", "jog"]})
        >>> rows_where(people, "subject != 3 and name == 'jog'").tolist()
        [0]

    Raises:
        ConfigError: it is no such condition, names another column, or compares what cannot be.
    """
    known = f"the columns are {', '.join(map(str, table.columns))}"
    shown = condition if len(condition) <= 120 else f"{condition[:120]}..."
    refused = f"{shown!r} {refusal} because it" if refusal else repr(shown)
    _check(condition, refused, set(table.columns), known)
    try:
        # Of positions alone: whatever the table's own index is called is no column.
        holds = table.reset_index(drop=True).eval(condition, engine="python", parser="pandas")
        found = np.asarray(holds)
        if found.dtype != bool or found.shape != (len(table),):
            raise TypeError("it is not true or false of each row")
    except Exception as error:  # pandas raises what its parser met, of many kinds
        raise ConfigError(
            f"{refused} selects nothing ({type(error).__name__}: {error}): wanted a condition such "
            f"as 'subject in (1, 3)'; {known}"
        ) from error
    return np.flatnonzero(found)


def _check(condition: str, refused: str, columns: set[str], known: str) -> None:
    """Refuse everything but comparisons of columns with constants.

    Raises:
        ConfigError: it is something else.
    """
    wanted = (
        "wanted comparisons of columns with numbers or texts, joined by 'and', 'or' and 'not', "
        f"such as 'subject in (1, 3)'; {known}"
    )
    if len(condition) > LONGEST:
        raise ConfigError(f"{refused} has {len(condition)} characters: wanted at most {LONGEST}")
    try:
        tree = ast.parse(condition, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        outside = ", and '@' means nothing here" if "@" in condition else ""
        raise ConfigError(f"{refused} is not a condition ({error}{outside}): {wanted}") from error
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        for node in level:
            if not isinstance(node, _ALLOWED):
                what = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
                raise ConfigError(f"{refused} has {what[:60]!r} in it: {wanted}")
            if isinstance(node, ast.Name) and node.id not in columns:
                raise ConfigError(f"{refused} names {node.id!r}, which is no column: {wanted}")
            if isinstance(node, ast.Constant) and type(node.value) not in _CONSTANTS:
                raise ConfigError(f"{refused} has {node.value!r} in it: {wanted}")
            if isinstance(node, ast.Tuple | ast.List):
                listed = [n.operand if isinstance(n, ast.UnaryOp) else n for n in node.elts]
                if not all(isinstance(each, ast.Constant) for each in listed):
                    raise ConfigError(f"{refused} lists what is no number or text: {wanted}")
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    raise ConfigError(f"{refused} is nested deeper than {DEEPEST} levels: {wanted}")
