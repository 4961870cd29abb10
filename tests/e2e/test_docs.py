"""The documentation does what it says: every code block is run, every link is followed.

A page is run if it begins with ``<!-- run -->``: its ``sh`` and ``python`` blocks, in order, in
one fresh folder, the Python blocks in one namespace. A block that cannot be run here has
``<!-- not run: reason -->`` on the line above it; ``<!-- needs: PACKAGE -->`` there runs it where
that package is installed, as ``make slow`` does, and else leaves it out with a warning.
``<!-- smaller: "A" "B" -->`` below the first line runs B where the page says A, so that a page may
show sizes that take minutes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
RUN = "<!-- run -->"
SMALLER = re.compile(r'<!-- smaller: "(.+?)" "(.*?)" -->')
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")
NEEDS = re.compile(r"<!-- needs: (\w+) -->")
FENCE = re.compile(r"^( *)```(\w*)\s*$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
SECONDS_A_BLOCK = 300
AS_INSTALLED = ("README.md", "docs/tutorial/first-model.md")
"""Pages that run the installed command; others run one whose packages are imported beforehand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    """Of its first line of code, from 1."""
    language: str
    code: str
    reason: str | None
    """Why it is not run."""
    needs: str | None
    """The package without which it is not run."""

    @property
    def where(self) -> str:
        """For messages."""
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    """Path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> Iterator[Block]:
    """Every fenced block of a page, indented ones without their indent."""
    lines = page.read_text().splitlines()
    index = 0
    while index < len(lines):
        opened = FENCE.match(lines[index])
        index += 1
        if not opened:
            continue
        indent, start = opened[1], index
        while lines[index].strip() != "```":
            index += 1
        above = lines[start - 2].strip() if start >= 2 else ""
        reason, needs = NOT_RUN.fullmatch(above), NEEDS.fullmatch(above)
        yield Block(
            page=page,
            line=start + 1,
            language=opened[2],
            code="\n".join(line.removeprefix(indent) for line in lines[start:index]) + "\n",
            reason=reason[1] if reason else None,
            needs=needs[1] if needs else None,
        )
        index += 1


def prose_of(page: Path) -> str:
    """A page without its code."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "`code`", text)


def is_run(page: Path) -> bool:
    """Whether the page asks to be run."""
    return page.read_text().startswith(RUN)


def run_shell(code: str, folder: Path, started: list[int], *binaries: Path) -> tuple[bool, str]:
    """Run one block as a person would paste it, stopping at the first failure.

    What it starts in the background stays for the blocks after it, under a group in ``started``.
    Commands are looked for in ``binaries`` first.
    """
    places = (*binaries, Path(sys.executable).parent, os.environ["PATH"])
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(map(str, places)),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",  # torch's threads wait for each other on busy cores
    }
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    started.append(process.pid)
    output, _ = process.communicate(timeout=SECONDS_A_BLOCK)
    return process.returncode == 0, output


@pytest.fixture
def started() -> Iterator[list[int]]:
    """Process groups of a page's blocks; what is left of them is ended with the page."""
    groups: list[int] = []
    yield groups
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def run_python(block: Block, code: str, namespace: dict[str, object]) -> tuple[bool, str]:
    """Run one block in the page's namespace."""
    output = io.StringIO()
    padded = "\n" * (block.line - 1) + code
    with contextlib.redirect_stdout(output):
        try:
            exec(compile(padded, str(block.page), "exec"), namespace)
        except Exception:  # whatever a page's code raises, that page is wrong
            return False, output.getvalue() + traceback.format_exc()
    return True, output.getvalue()


@pytest.mark.parametrize("page", [p for p in PAGES if is_run(p)], ids=name_of)
def test_every_block_of_a_page_runs_in_an_empty_folder(
    page: Path, tmp_path: Path, started: list[int], warm_dmft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path))  # what `datasets` keeps goes with the page
    binaries = () if name_of(page) in AS_INSTALLED else (warm_dmft.parent,)
    namespace: dict[str, object] = {"__name__": "__docs__"}
    smaller = SMALLER.findall(page.read_text())
    used: set[str] = set()
    for block in blocks_of(page):
        if block.language not in ("sh", "python") or block.reason:
            continue
        if block.needs and importlib.util.find_spec(block.needs) is None:
            warnings.warn(f"{block.where} is not run: {block.needs} is not installed", stacklevel=1)
            continue
        code = block.code
        for shown, run_as in smaller:
            used |= {shown} if shown in code else set()
            code = code.replace(shown, run_as)
        if block.language == "sh":
            fine, output = run_shell(code, tmp_path, started, *binaries)
        else:
            fine, output = run_python(block, code, namespace)
        assert fine, f"{block.where} failed:\n{code}\n--- output ---\n{output}"
    assert used == {shown for shown, _ in smaller}, "a 'smaller' comment replaces nothing"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    silent = [
        block.where
        for block in blocks_of(page)
        if block.language in ("sh", "python") and not block.reason and not is_run(page)
    ]
    assert not silent, f"neither run nor marked '<!-- not run: reason -->': {silent}"
    unnamed = [block.where for block in blocks_of(page) if not block.language]
    assert not unnamed, f"a fence without a language: {unnamed}"


def anchors_of(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and MkDocs make them."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#{1,6} +(.+?)\s*$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        if not aim.exists() or (aim.suffix == ".md" and anchor and anchor not in anchors_of(aim)):
            broken.append(target)
    assert not broken, f"{name_of(page)} links to nothing: {broken}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_of_the_documentation_can_be_reached(page: Path) -> None:
    if page.parent == ROOT or page.name == "index.md":
        return
    index = ROOT / "docs/index.md"
    linked = {(index.parent / target).resolve() for target in LINK.findall(prose_of(index))}
    assert page in linked, f"docs/index.md does not link to {name_of(page)}"
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert page.relative_to(ROOT / "docs").as_posix() in navigation, "it is not in mkdocs.yml"


def test_the_generated_reference_says_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_the_site_builds_without_a_warning_and_asks_no_other_server(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="the docs extra is not installed: make docs")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    loaded = re.compile(r'<(?:script|link)[^>]+(?:src|href)="(?:https?:)?//[^"]+')
    for page in (tmp_path / "site").rglob("*.html"):
        foreign = loaded.findall(page.read_text())
        assert not foreign, f"{page.name} loads {foreign}"
