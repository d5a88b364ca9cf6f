"""The pages in docs/: their code compiles, their settings are right, their links lead somewhere."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path
from typing import Any

import pytest

from itly_web.settings import parse
from tests.docs.snippets import ROOT, Snippet, snippets

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
PYTHON = [snippet for page in PAGES for snippet in snippets(page) if snippet.language == "python"]
SETTINGS = [
    snippet for snippet in PYTHON if re.search(r'^ITLY = |app\.config\["ITLY"\] = ', snippet.text, re.MULTILINE)
]


@pytest.mark.parametrize("snippet", PYTHON, ids=str)
def test_python_is_python(snippet: Snippet) -> None:
    ast.parse(snippet.text)


@pytest.mark.parametrize("snippet", SETTINGS, ids=str)
def test_settings_are_right(snippet: Snippet) -> None:
    found, problems = parse(settings_in(snippet), is_debug=False, needs_keys=True)

    assert problems == []
    assert found is not None


def settings_in(snippet: Snippet) -> Any:
    """The dictionary that a snippet assigns, with a key in place of the environment's."""
    for node in ast.walk(ast.parse(snippet.text)):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("ITLY", "app.config['ITLY']"):
            code = compile(ast.Expression(node.value), str(snippet), "eval")
            return eval(code, {"os": _Environment, "BASE_DIR": Path(os.sep), "DATA_DIR": Path(os.sep)})
    raise AssertionError(f"{snippet} assigns no settings")


class _Environment:
    """`os`, where every variable is set."""

    class environ(dict[str, str]):  # it stands for os.environ
        def __class_getitem__(cls, name: str) -> str:  # type: ignore[override]
            return "a key"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)", text)

    missing = [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()]

    assert missing == []
