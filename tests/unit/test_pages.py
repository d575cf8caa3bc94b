"""Pages: the glossary, and the blocks that tests execute."""

from __future__ import annotations

import re

from tests.pages import ROOT, blocks


def test_the_glossary_is_in_alphabetical_order_with_one_line_each():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", text, re.MULTILINE)[1:]
    assert len(words) > 40
    assert words == sorted(words, key=str.lower)


def test_blocks_are_found_by_their_language(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\na = 1\n```\n\n```sh\nls\n```\n", encoding="utf-8")
    assert (blocks(page), blocks(page, "sh")) == (["a = 1\n"], ["ls\n"])
