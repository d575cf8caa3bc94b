"""The drawing of the accounts: bands, a table with all numbers, and a sentence whether it adds up."""

import re
from html.parser import HTMLParser

import pytest

from otel_ha.serve.page.accounting import draw_accounts
from otel_ha.serve.page.flows import MOST_PARTS
from otel_ha.serve.page.html import text_of


def accounts(processed=None, discarded=None, queued=0, active=0, difference=0, **sources):
    processed, discarded = processed or {}, discarded or {}
    total = {
        "received": sum([*processed.values(), *discarded.values(), queued, active, difference]),
        "processed": processed,
        "discarded": discarded,
        "queued": queued,
        "active": active,
        "in_flight": queued + active,
        "difference": difference,
    }
    return {"total": total, "by_source": {name: total | {"difference": number} for name, number in sources.items()}}


def words_of(figure):
    return "".join(figure.find("figcaption").itertext())


def table(figure):
    return [["".join(cell.itertext()) for cell in row] for row in figure.iterfind(".//tbody/tr")]


def bands(figure):
    return [path.find("title").text for path in figure.iterfind(".//svg/path")]


def thickness(figure):
    found = [re.search(r"h8v([\d.]+)h-8", path.get("d")) for path in figure.iterfind(".//svg/path")]
    return [float(each[1]) for each in found if each]


FULL = {"processed": {"ok": 90, "error": 10}, "discarded": {"filtered": 20, "duplicate": 60}, "queued": 15, "active": 5}


def test_accounts_that_add_up_say_so():
    assert words_of(draw_accounts(accounts(**FULL))).startswith("It adds up.")


def test_the_table_has_all_numbers_largest_first():
    assert table(draw_accounts(accounts(**FULL))) == [
        ["received", "200"],
        ["processed", "100"],
        ["ok", "90"],
        ["error", "10"],
        ["discarded", "80"],
        ["duplicate", "60"],
        ["filtered", "20"],
        ["in flight", "20"],
        ["queued", "15"],
        ["active", "5"],
    ]


def test_numbers_of_the_summary_have_their_path_and_value():
    written = text_of(draw_accounts(accounts(**FULL)))
    found = dict(re.findall(r'data-key="accounts\.total\.([^"]+)"[^>]*><data value="([^"]*)"', written))
    assert found == {
        "received": "200",
        "processed.ok": "90",
        "processed.error": "10",
        "discarded.duplicate": "60",
        "discarded.filtered": "20",
        "in_flight": "20",
        "queued": "15",
        "active": "5",
        "difference": "0",
    }
    assert written.count("<data ") == len(found)


def test_bands_are_as_thick_as_their_numbers():
    assert thickness(draw_accounts(accounts(**FULL))) == [67.5, 7.5, 45, 15, 11.2, 3.8]


def test_bands_leave_the_received_side_by_side():
    paths = [path.get("d") for path in draw_accounts(accounts(**FULL)).iterfind(".//svg/path")]
    starts = [float(re.match(r"M8 ([\d.]+)C", path)[1]) for path in paths]
    assert starts == [22, 89.5, 97, 142, 157, 168.2]


def test_the_drawing_has_the_shares():
    texts = ["".join(text.itertext()) for text in draw_accounts(accounts(**FULL)).iterfind(".//svg/text")]
    assert {"50 %", "45 %", "5 %", "40 %", "30 %", "10 %", "7.5 %", "2.5 %"} <= set(texts)


def test_without_events_there_is_no_drawing():
    figure = draw_accounts(accounts())
    assert figure.find(".//svg") is None
    assert words_of(figure).startswith("It adds up.")
    assert ["received", "0"] in table(figure)


def test_without_a_history_a_sentence_says_so():
    assert "No history is kept" in text_of(draw_accounts(None))


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (5, "5 events are missing: received, but neither processed, discarded nor in flight."),
        (1, "1 event is missing: received, but neither processed, discarded nor in flight."),
        (-3, "3 events too many: more were processed, discarded or in flight than were received."),
        (-1, "1 event too many: more were processed, discarded or in flight than were received."),
        (12_345, "12,345 events are missing: received, but neither processed, discarded nor in flight."),
    ],
)
def test_a_difference_is_said_in_words_with_the_remedy(difference, expected):
    words = words_of(draw_accounts(accounts({"ok": 20_000}, difference=difference)))
    assert expected in words
    assert "EVENT.receive()" in words
    assert "adds up" not in words


def test_the_sources_that_differ_are_named_largest_difference_first():
    figure = draw_accounts(accounts({"ok": 10}, difference=4, mqtt=-1, websocket=5, file=0))
    assert "By source: websocket 5 missing, mqtt 1 too many." in words_of(figure)


def test_sources_whose_differences_cancel_are_named_too():
    words = words_of(draw_accounts(accounts({"ok": 10}, difference=0, mqtt=-2, websocket=2)))
    assert "adds up" not in words
    assert "By source: mqtt 2 too many, websocket 2 missing." in words


def test_missing_events_have_a_band():
    figure = draw_accounts(accounts({"ok": 95}, difference=5))
    assert bands(figure) == ["ok 95", "missing 5"]
    assert sum(thickness(figure)) == pytest.approx(150)


def test_events_that_were_not_received_stand_beside_the_received():
    figure = draw_accounts(accounts({"ok": 100}, difference=-20))
    heights = [float(rect.get("height")) for rect in figure.iterfind(".//svg/rect")]
    assert heights == [120, 30]


def test_small_parts_share_a_band_and_the_table_has_them_all():
    reasons = {f"reason_{number}": 100 - number for number in range(11)} | {"_OTHER": 40}
    figure = draw_accounts(accounts(discarded=reasons))
    assert len(bands(figure)) == MOST_PARTS
    assert bands(figure)[-1] == f"{len(reasons) - MOST_PARTS + 1} others {sum(sorted(reasons.values())[:7])}"
    assert {name for name, _ in table(figure)} >= set(reasons)


def test_hostile_names_are_text_and_do_not_widen_the_drawing():
    hostile = "<script>alert('\"')</script>\u202e" + "x" * 10_000
    figure = draw_accounts(accounts(discarded={hostile: 3}))
    shown = [each.tail for text in figure.iterfind(".//svg/text") for each in text if each.tail]
    assert hostile in {name for name, _ in table(figure)}
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: tags.append(tag)
    parser.feed(text_of(figure))
    assert "title" in tags
    assert "script" not in tags
    assert "\u2068<script>alert('\"')</…\u2069" in shown
    assert all(len(text) <= 25 for text in shown)


def test_one_small_part_is_still_seen():
    assert min(thickness(draw_accounts(accounts({"ok": 10**9}, {"invalid": 1})))) == 1
