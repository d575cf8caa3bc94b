"""All pages: their links lead somewhere."""

from __future__ import annotations

import re

import pytest

from tests.pages import ROOT, blocks, broken_links

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "collector-config" / "README.md"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    assert broken_links(page) == []


def test_the_glossary_is_in_alphabetical_order_with_one_line_each():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", text, re.MULTILINE)[1:]
    assert len(words) > 40
    assert words == sorted(words, key=str.lower)


def test_blocks_are_found_by_their_language(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\na = 1\n```\n\n```sh\nls\n```\n", encoding="utf-8")
    assert (blocks(page), blocks(page, "sh")) == (["a = 1\n"], ["ls\n"])


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A heading\n\n[x](page.md) [x](#a-heading) [x](none.md) [x](page.md#none)\n", encoding="utf-8")
    assert broken_links(page) == ["none.md", "page.md#none"]
