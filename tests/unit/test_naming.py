import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ha import Attribute, CatalogError, Counter
from otel_ha.declare import naming


@pytest.mark.parametrize("name", ["a", "http.server.duration", "a/b", "a-b_c.d", "x" * 255, "homeassistant.queue9"])
def test_opentelemetrys_names_are_accepted(name):
    assert naming.is_name(name)


@pytest.mark.parametrize(
    "name", ["", "A", "aB", "1a", "_a", ".a", "a b", "a\n", "ä", "a:b", "x" * 256, "a{b}", "a\x00"]
)
def test_other_names_are_refused(name):
    assert not naming.is_name(name)


@pytest.mark.parametrize("key", ["a", "error.type", "homeassistant.entity_id", "a1.b2", "a_"])
def test_dotted_lower_case_keys_are_accepted(key):
    assert naming.is_attribute_key(key)


@pytest.mark.parametrize("key", ["", "A", "1a", "_a", "a.", ".a", "a..b", "a.1", "a-b", "a b", "error.Type", "a\n"])
def test_other_keys_are_refused(key):
    assert not naming.is_attribute_key(key)


@pytest.mark.parametrize(
    "unit",
    [
        *("s", "ms", "us", "ns", "min", "h", "d", "wk", "mo", "a"),
        *("By", "KiBy", "MiBy", "GiBy", "TiBy", "kBy", "MBy", "GBy", "TBy", "bit", "Kibit"),
        *("1", "%", "[ppm]", "[ppb]", "[pH]", "deg", "[degF]"),
        *("m", "mm", "m2", "m3", "km/h", "m/s", "m/s2", "m.s-2", "L/min", "L", "dam"),
        *("W", "kW", "kW.h", "W/m2", "V", "mV", "A", "V.A", "Ohm", "Hz", "J", "Cel", "K", "lx", "lm", "cd"),
        *("hPa", "mbar", "dB", "g", "kg", "ug/m3", "eV", "Bq/m3", "uS/cm", "mol"),
        *("{event}", "{event}/s", "By{payload}", "{a/b}", "{a.b}", "/s", "/{event}", "1/s", "{point}.m2", "{}", "s+2"),
    ],
)
def test_ucum_units_are_accepted(unit):
    assert naming.is_unit(unit)


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "",
            " ",
            "seconds",
            "sec",
            "bytes",
            "KB",
            "ratio",
            "percent",
            "events",
            "count",
            "kWh",
            "°C",
            "\u00b5s",
            "mins",
        ),
        *("/", "//", "//s", "s/", "s.", ".s", "s..s", "s//s", "{a}..", "{a}//", "./{a}"),
        *("{", "}", "{a", "a}", "{a{b}}", "{a b}", "{ä}", "{a}{b}", "{a}s", "m{x}s", "}{"),
        *("KiB", "k1", "k%", "mmin", "s0", "s10", "2", "s s", "s\n", "kk", "dd", "Kis"),
    ],
)
def test_other_units_are_refused(unit):
    assert not naming.is_unit(unit)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("event.total", "total"),
        ("total.events", "total"),
        ("events_total", "total"),
        ("event.Total", "total"),
        ("process.duration_seconds", "seconds"),
        ("process.duration.ms", "ms"),
        ("process.duration_s", "s"),
        ("data.bytes", "bytes"),
        ("data/byte/count", "byte"),
        ("room-celsius", "celsius"),
        ("hit.ratio", "ratio"),
        ("cpu.percent", "percent"),
    ],
)
def test_total_and_units_are_found_in_a_name(name, word):
    assert naming.word_of_kind_or_unit(name) == word


@pytest.mark.parametrize(
    "name", ["event.received", "totality", "db.second_level.hits", "subtotal", "msg.sorted_by", "bytesize"]
)
def test_other_words_are_left_alone(name):
    assert naming.word_of_kind_or_unit(name) is None


@pytest.mark.parametrize("name", ["event.count", "event_sum", "count", "a/bucket"])
def test_a_name_may_end_like_a_part_of_a_histogram(name):
    assert naming.ends_like_a_histogram(name)


@pytest.mark.parametrize("name", ["account", "event.counts", "count.events", "checksum"])
def test_other_names_do_not_end_like_a_part_of_a_histogram(name):
    assert not naming.ends_like_a_histogram(name)


@pytest.mark.parametrize(
    ("unit", "suffix"),
    [
        ("s", "seconds"),
        ("By", "bytes"),
        ("1", ""),
        ("{event}", ""),
        ("{event}/s", "per_second"),
        ("m/s", "meters_per_second"),
        ("km/h", "km_per_hour"),
        ("By{payload}", "bytes"),
        ("kW.h", "kW_h"),
        ("%", "percent"),
        ("[ppm]", "ppm"),
        ("/s", "per_second"),
        ("ug/m3", "ug_per_m3"),
    ],
)
def test_a_unit_becomes_the_suffix_that_prometheus_has_for_it(unit, suffix):
    assert naming.prometheus_unit(unit) == suffix


@pytest.mark.parametrize(
    ("name", "unit", "kind", "exposed"),
    [
        ("homeassistant.event.received", "{event}", {"counter": True}, "homeassistant_event_received_total"),
        ("homeassistant.data.sent", "By", {"counter": True}, "homeassistant_data_sent_bytes_total"),
        ("db.client.operation.duration", "s", {}, "db_client_operation_duration_seconds"),
        ("system.memory.utilization", "1", {"gauge": True}, "system_memory_utilization_ratio"),
        ("homeassistant.queue.size", "{item}", {}, "homeassistant_queue_size"),
        ("a-b/c.d", "1", {}, "a_b_c_d"),
        ("a..b", "s", {}, "a_b_seconds"),
    ],
)
def test_a_name_and_a_unit_become_prometheus_name(name, unit, kind, exposed):
    assert naming.prometheus_name(name, unit, **kind) == exposed


def test_an_attribute_key_becomes_a_label():
    assert naming.prometheus_label("homeassistant.entity_id") == "homeassistant_entity_id"


@given(st.text())
def test_a_name_raises_at_most_a_catalog_error(name):
    try:
        Counter(name, unit="1", description="Things.")
    except CatalogError:
        return
    assert re.fullmatch("[a-z][a-z0-9_./-]*", name)


@given(st.text(alphabet="sBymin1%{}/.+-27[]K \n") | st.text())
def test_a_unit_raises_at_most_a_catalog_error(unit):
    try:
        counter = Counter("things", unit=unit, description="Things.")
    except CatalogError:
        return
    assert re.fullmatch("[A-Za-z_:][A-Za-z0-9_:]*", counter.prometheus_name)


@given(st.text(), st.text(), st.text())
def test_an_attribute_raises_at_most_a_catalog_error(name, description, keyword):
    try:
        attribute = Attribute(name, description, keyword=keyword)
    except CatalogError:
        return
    assert attribute.keyword.isidentifier()
