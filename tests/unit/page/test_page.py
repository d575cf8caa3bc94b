"""The status page: one summary as HTML."""

import re
from itertools import pairwise

import pytest

from otel_ha.serve.page.charts import RANGES
from otel_ha.serve.page.page import render
from tests.unit.page.example import TAKEN, example
from tests.unit.page.seen import at, numbers, seen


def section(page: str, key: str):
    return seen(page).one("section", id=key)


def test_every_number_has_the_exact_value_of_the_summary():
    summary = example()
    found = numbers(seen(render(summary)))
    assert len(found) > 60
    for path, value in found:
        expected = at(summary, path)
        assert value == ("" if expected is None else repr(expected)), path


def test_the_page_shows_when_its_summary_was_taken():
    taken = seen(render(example())).one("time", id="taken")
    assert float(taken.attributes["data-timestamp"]) == TAKEN
    assert taken.attributes["datetime"].startswith("2026-09-")


def test_the_header_names_the_service_its_state_and_how_long_it_is_up():
    header = seen(render(example())).one("header")
    assert header.one("h1").text == "ha-ingestor"
    assert header.one(data_key="health.status").text == "! telemetry degraded · 1 note"
    assert "Up for1 h 2 min" in header.text
    assert "attic" in header.text
    assert "Version4.2.1" in header.text
    assert "Version" not in seen(render(example(service_version=None))).one("header").text


def test_each_reason_stands_beside_what_to_do_about_it():
    state = section(render(example()), "state")
    [reason] = state.one("ul", class_="reasons").all("li")
    assert reason.one(class_="reason").text == "otlp: http://collector:4318/v1/metrics: connection refused"
    assert reason.one(class_="remedy").text.startswith("What to do: Start the Collector")


def test_a_command_in_a_remedy_is_code():
    health = {"status": "degraded", "reasons": ["a", "b"], "remedies": ["run `otel-ha doctor`, now", "a ` alone"]}
    first, second = section(render(example(health=health)), "state").all("p", class_="remedy")
    assert (first.text, first.one("code").text) == ("What to do: run otel-ha doctor, now", "otel-ha doctor")
    assert second.text == "What to do: a ` alone"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("accounts", ("in flight",)),
        ("events", ("source", "sink", "domain")),
        ("outlets", ("reader", "receiver")),
        ("connections", ("Attempts to reconnect",)),
        ("metrics", ("series", "Limit", "budget", "objective")),
    ],
)
def test_a_section_explains_the_words_of_its_headings(key, words):
    explained = section(render(example()), key).all("p")[0]
    assert [word for word in words if word not in explained.text] == []


@pytest.mark.parametrize(
    ("status", "notes", "shown", "colour"),
    [
        ("ok", 0, "✓ telemetry ok", "ok"),
        ("ok", 1, "! telemetry ok · 1 note", "noted"),
        ("ok", 2, "! telemetry ok · 2 notes", "noted"),
        ("degraded", 1, "! telemetry degraded · 1 note", "degraded"),
        ("<new>", 1, "? telemetry <new> · 1 note", "unknown"),
    ],
)
def test_the_state_counts_the_notes_and_is_not_green_beside_one(status, notes, shown, colour):
    texts = ["mqtt: no connection is up", "websocket: no event for 2 h"][:notes]
    page = render(example(health={"status": status, "notes": texts}))
    badge = seen(page).one("header").one(data_key="health.status")
    assert (badge.text, badge.attributes["class"]) == (shown, f"status status-{colour}")
    assert ("no problem" in section(page, "state").text) == (status == "ok" and not notes)


def test_each_note_stands_beside_what_to_do_about_it():
    page = render(example(health={"status": "ok", "notes": ["mqtt: no connection is up", "knx: no event for 2 h"]}))
    down, silent = section(page, "state").one("ul", class_="reasons notes").all("li")
    assert down.one(class_="reason").text == "mqtt: no connection is up"
    assert down.one(class_="remedy").text.startswith("What to do: check that this server runs")
    assert silent.one(class_="remedy").text.startswith("What to do: check that this source still sends")


@pytest.mark.parametrize("status", ["ok", "degraded", "failed", "disabled", "<new>"])
def test_each_state_is_a_word_and_a_sentence(status):
    page = render(example(health={"status": status}))
    assert status in seen(page).one("header").one(data_key="health.status").text
    assert "Telemetry" in section(page, "state").text


def test_a_tile_that_is_not_measured_says_why():
    summary = example(groups=["business"])
    summary["current"]["performance"] |= {"p95_lag": None, "queue_use": None}
    summary["current"]["system"]["cpu_percent"] = None
    tiles = {tile.one("h3").text: tile.text for tile in seen(render(summary)).all("div", class_="tile")}
    assert "OTEL_HA_SYSTEM_METRICS=true" in tiles["CPU of the host"]
    assert "OTEL_HA_PERFORMANCE_METRICS=true" in tiles["Lag (P95)"]
    summary["groups"].append("performance")
    tiles = {tile.one("h3").text: tile.text for tile in seen(render(summary)).all("div", class_="tile")}
    assert tiles["Lag (P95)"] == "Lag (P95)-No event brings the time at its source."
    assert tiles["Queue use"] == "Queue use-No queue has a known capacity.7 waiting"


def tile(page: str, title: str):
    [found] = [each for each in section(page, "now").all("div") if [h.text for h in each.all("h3")] == [title]]
    return found


@pytest.mark.parametrize("title", ["P95 of processing", "Error share"])
def test_a_figure_of_events_is_not_known_while_none_is_processed(title):
    summary = example()
    summary["current"]["performance"] |= {
        "event_processing_rate": 0.0, "p50_processing_time": 0.0, "p95_processing_time": 0.0,
        "p99_processing_time": 0.0, "error_rate": 0.0,
    }  # fmt: skip
    idle = tile(render(summary), title)
    assert idle.text.startswith(f"{title}-No event was processed in this time.")
    assert idle.all("data")[0].attributes["value"] == "0.0"
    assert "P50" not in idle.text
    summary["current"]["performance"]["event_processing_rate"] = 0.1
    assert "No event" not in tile(render(summary), title).text


def test_now_says_which_time_its_figures_cover_and_charts_which_theirs():
    summary = example()
    summary["current"]["window"] = 34.0
    page = render(summary)
    assert "over the last 34 s" in section(page, "now").text
    assert "newest point" in section(page, "charts").text


@pytest.mark.parametrize(("met", "word"), [(True, "✓ met"), (False, "✗ missed")])
def test_an_objective_stands_under_now_and_marks_its_tile_if_it_is_missed(met, word):
    summary = example()
    summary["metrics"][0]["objectives"][0]["met"] = met
    page = render(summary)
    [line] = section(page, "now").one("ul", class_="objectives").all("li")
    assert line.text == f"{word}: Events take 0.1 s. It was 87.5 % over the kept history."
    assert ("✗ objective missed" in tile(page, "P95 of processing").text) == (not met)
    assert "missed" not in tile(page, "Lag (P95)").text


def test_without_measured_objectives_there_is_no_list_of_them():
    summary = example()
    summary["metrics"][0]["objectives"] = [{"description": "x", "bound": 1, "target": 1, "share": None, "met": None}]
    assert section(render(summary), "now").all("ul") == []


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("disabled", "Unset OTEL_SDK_DISABLED"),
        ("failed", "calls setup_telemetry() again"),
        ("ok", "OTEL_HA_HISTORY_LENGTH is 0"),
    ],
)
def test_a_page_without_a_history_says_why_and_what_to_do(status, sentence):
    absent = dict.fromkeys(("current", "history", "roll_ups", "accounts", "tables"))
    page = render(example(health={"status": status}, metrics=[], connections=[], started=None, **absent))
    assert sentence in section(page, "now").text
    assert section(page, "metrics").one("p").text
    assert section(page, "connections").one("p").text
    assert [each.attributes["id"] for each in seen(page).all("section")] == [
        "state", "now", "outlets", "connections", "metrics",
    ]  # fmt: skip


def test_connections_are_not_known_without_a_history():
    page = render(example(current=None, connections=[]))
    assert "not known" in section(page, "connections").text


def test_only_a_metric_whose_group_is_off_says_how_to_turn_it_on():
    """After the shutdown every metric is off, but no switch turns it on."""
    metrics = [{**metric, "on": False} for metric in example()["metrics"]]
    found = section(render(example(started=None, metrics=metrics)), "metrics")
    assert [each.text for each in found.all("p", class_="why")] == [
        "Off; OTEL_HA_ENTITY_METRICS=true turns its group on."
    ]


def test_a_page_of_nothing_is_still_a_page():
    assert seen(render({})).one("h1").text == "otel-ha"


def test_empty_tables_are_sentences_that_name_the_group_if_it_is_off():
    tables = {"sources": [], "domains": [], "reasons": [], "sinks": [], "errors": []}
    events = section(render(example(tables=tables, groups=["business"])), "events")
    assert events.all("table") == []
    assert "No event has been discarded." in events.text
    assert "The metric group operations is off; OTEL_HA_OPERATIONS_METRICS=true turns it on." in events.text


def test_a_reader_has_the_age_of_its_last_success_its_failures_and_its_last_error():
    otlp, prometheus = section(render(example()), "outlets").one("tbody").all("tr")
    assert otlp.text == "otlphttp://collector:4318/v1/metricsfailingconnection refused1 min 35 s ago300"
    assert "never" in prometheus.text


def test_a_connection_has_its_state_and_the_age_of_its_last_message():
    mqtt, websocket = section(render(example()), "connections").one("tbody").all("tr")
    assert mqtt.text == "mqtt✓ up-750 ms ago0"
    assert websocket.text == "websocket✗ downerror: 3-2"


@pytest.mark.parametrize(
    ("received", "groups", "shown"),
    [(3, ["business"], "29.9 s ago"), (0, ["business"], "none in 29.9 s"), (None, ["operations"], "29.9 s ago")],
)
def test_a_connection_without_any_message_has_no_last_one(received, groups, shown):
    summary = example(groups=groups)
    summary["tables"]["sources"][0]["received"] = received
    summary["connections"][0]["message_age"] = 29.9
    page = render(summary)
    age = section(page, "connections").one(data_key="connections.mqtt.message_age")
    assert (age.text, age.one("data").attributes["value"]) == (shown, "29.9")
    summary["tables"]["sources"] = []
    page = render(summary)
    shown = "none in 29.9 s" if "business" in groups else shown
    assert section(page, "connections").one(data_key="connections.mqtt.message_age").text == shown


@pytest.mark.parametrize(("up", "state"), [(-1, "✗ down"), (0, "✗ down"), (1, "✓ up"), (3, "✓ 3 up"), (None, "-")])
def test_a_connection_is_down_if_none_of_its_kind_is_up(up, state):
    page = render(example(connections=[{"name": "mqtt", "up": up, "message_age": None, "reconnects": 0, "closed": {}}]))
    assert section(page, "connections").one(data_key="connections.mqtt.up").text == state


def test_a_metric_has_its_series_values_budget_and_objectives():
    duration, entity, memory = section(render(example()), "metrics").all("tr", class_="metric")
    for text in ("Time to process an event.", "source=mqtt", "outcome=ok", "3.5 ms", "1 more are not shown."):
        assert text in duration.text
    assert "source 1 of 8" in duration.text
    assert "✗ missed: 87.5 %, at least 99 % wanted" in duration.text
    assert "not measured yet, at least 99 % wanted" in duration.text
    assert "Off; OTEL_HA_ENTITY_METRICS=true turns its group on." in entity.text
    assert "(no attributes)64.5 MiB" in memory.text
    assert "observable gauge" in memory.text


@pytest.mark.parametrize(
    ("search", "shown"),
    [
        ("", 3),
        ("  ", 3),
        ("MEMORY", 1),
        ("event time", 1),
        ("event_total", 0),
        ("entity_events_total", 1),
        ("counter", 1),
        ("<script>", 0),
    ],
)
def test_a_search_hides_the_metrics_without_its_words(search, shown):
    metrics = section(render(example(), search=search), "metrics")
    rows = metrics.all("tr", class_="metric")
    assert len(rows) == 3
    assert sum("hidden" not in row.attributes for row in rows) == shown
    assert metrics.one("output").text == f"{shown} of 3 metrics"
    assert metrics.one("input", type="search").attributes["value"] == search


@pytest.mark.parametrize("chosen", [*RANGES, "", "1h", "<b>"])
def test_one_range_is_chosen_and_links_lead_to_the_others(chosen):
    page = seen(render(example(), chosen, "a b&c"))
    links = page.one("nav", class_="ranges").all("a")
    assert [link.attributes["href"] for link in links] == [f"?range={each}&search=a+b%26c" for each in RANGES]
    expected = chosen if chosen in RANGES else "50min"
    [current] = [link for link in links if "aria-current" in link.attributes]
    assert current.attributes["href"].startswith(f"?range={expected}&")
    assert page.one("form").one("input", name="range").attributes["value"] == expected


def test_every_link_is_relative_and_nothing_is_inline():
    page = seen(render(example()))
    for each in page.all():
        assert "style" not in each.attributes
        assert not [name for name in each.attributes if name.startswith("on")]
        assert each.tag != "style"
        for name in ("href", "src", "action"):
            assert not re.match(r"/|[a-z]+:", each.attributes.get(name, ""))
    assert [script.text for script in page.all("script")] == [""]


def test_identifiers_are_unique_and_headings_do_not_skip_a_level():
    page = seen(render(example()))
    identifiers = [each.attributes["id"] for each in page.all() if "id" in each.attributes]
    assert len(identifiers) == len(set(identifiers))
    levels = [int(each.tag[1]) for each in page.all() if re.fullmatch("h[1-6]", each.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_have_captions_scopes_and_a_region_that_the_keyboard_reaches():
    for region in seen(render(example())).all("div", class_="region"):
        assert region.attributes["tabindex"] == "0"
        assert region.one(id=region.attributes["aria-labelledby"]).tag == "caption"
        assert all(head.attributes["scope"] in {"col", "row"} for head in region.all("th") if head.parent.tag == "tr")


HOSTILE = {
    "markup": "<script>alert(1)</script>",
    "quotes": "\"'><img src=x onerror=alert(1)>",
    "entity": "&lt;b&gt; &amp;",
    "direction": "\N{RIGHT-TO-LEFT OVERRIDE}abc \N{RIGHT-TO-LEFT MARK}\N{ARABIC LETTER ALEF}",
    "long": "x" * 10_240,
    "comment": "--><!--",
    "hole": "<slot></slot>",
    "line": "a\nb\tc",
}
UNSPEAKABLE = {"NUL": "a\0b", "surrogate": "a\ud800b", "control": "a\x1bb", "noncharacter": "a\uffffb"}


def hostile(text: str) -> dict:
    """Return a summary in which this text stands wherever a text from outside can."""
    summary = example(service=text)
    summary["health"] |= {"reasons": [text], "remedies": [text], "notes": [text]}
    summary["health"]["readers"][0] |= {"last_error": text, "target": text, "reader": text}
    summary["health"]["endpoint"] |= {"url": text}
    summary["system_info"]["hostname"] = summary["service_version"] = text
    for rows in (*summary["tables"].values(), summary["connections"]):
        rows[0]["name"] = text
    summary["tables"]["errors"][0]["component"] = text
    summary["connections"][0]["closed"] = {text: 1}
    summary["accounts"]["total"]["discarded"] = {text: 10}
    summary["accounts"]["by_source"] = {text: summary["accounts"]["total"] | {"difference": 1}}
    metric = summary["metrics"][0]
    metric |= {"name": text, "description": text, "unit": text, "prometheus_name": text}
    metric["values"][0]["attributes"] = {text: text}
    metric["budgets"][0]["attribute"] = text
    metric["objectives"][0]["description"] = text
    return summary


def tags(page: str) -> list[str]:
    return [each.tag for each in seen(page).all()]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_appears_as_text_and_changes_no_element(text):
    page = render(hostile(text), search=text)
    assert tags(page) == tags(render(hostile("harmless"), search="harmless"))
    assert seen(page).text.count(text) >= 20
    assert seen(page).one("h1").one("bdi").text == text
    assert seen(page).one("input", type="search").attributes["value"] == text


@pytest.mark.parametrize("text", UNSPEAKABLE.values(), ids=UNSPEAKABLE)
def test_a_character_that_no_document_may_contain_is_replaced(text):
    page = render(hostile(text), search=text)
    page.encode()
    assert seen(page).one("h1").text == "a\N{REPLACEMENT CHARACTER}b"
    assert text not in page
