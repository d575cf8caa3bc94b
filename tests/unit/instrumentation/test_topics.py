"""The topic parser: domains and entities of MQTT messages."""

import json
import logging

import pytest

from otel_ha import ConfigError, TelemetryConfig, setup_telemetry
from otel_ha.instrumentation.topics import learned
from otel_ha.instrumentation.topics import parser as parsing
from otel_ha.instrumentation.topics.entities import COMPONENTS
from otel_ha.instrumentation.topics.parser import UNKNOWN, Entity, TopicParser, topic_parser

LAMP = Entity("light", "light.lamp")


@pytest.fixture
def parser():
    return TopicParser()


def announce(parser, topic, **config):
    return parser.parse(topic, json.dumps(config).encode())


@pytest.mark.parametrize(
    ("topic", "domain", "entity"),
    [
        ("homeassistant/light/kitchen/state", "light", "light.kitchen"),
        ("homeassistant/light/kitchen/brightness", "light", "light.kitchen"),
        ("homeassistant/sensor/outside_2/last_updated", "sensor", "sensor.outside_2"),
        ("statestream/input_boolean/away/state", "input_boolean", "input_boolean.away"),
        ("homeassistant/sensor/0x00158d/battery/config", "sensor", None),
        ("homeassistant/binary_sensor/door/config", "binary_sensor", None),
        ("homeassistant/sensor/outsideTemperature/state", "sensor", None),
        ("homeassistant/light/" + "x" * 191 + "/state", "light", None),
        ("homeassistant/sensor/node/temperature/state", "sensor", None),
        ("livingroom/sensor/temperature/state", "sensor", None),
        ("livingroom/text_sensor/version/state", "sensor", None),
        ("home/attic/node/binary_sensor/door/state", "binary_sensor", None),
        ("livingroom/light/ceiling/command", "light", None),
        ("livingroom/climate/heating/mode/state", "climate", None),
        ("livingroom/fan/ceiling/speed_level/command", "fan", None),
        ("tele/tasmota_1/SENSOR", "sensor", None),
        ("tasmota_1/tele/SENSOR", "sensor", None),
    ],
)
def test_the_form_of_a_topic_tells(parser, topic, domain, entity):
    assert parser.parse(topic, b"on") == (domain, entity)
    assert parser.parse(topic, b"off") == (domain, entity)  # from memory


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "light",
        "light/kitchen/state",  # neither a base nor a node
        "zigbee2mqtt/lamp",
        "zigbee2mqtt/bridge/state",
        "zigbee2mqtt/hall/lamp/availability",
        "homeassistant/status",
        "homeassistant/device/0x1/config",
        "homeassistant/device/0x1/state",
        "homeassistant/device_automation/0x1/action_on/config",
        "homeassistant/tag/0x1/config",
        "homeassistant/Light/kitchen/state",
        "homeassistant/__/kitchen/state",
        "factory/line/7/state",
        "node/vacuum/x/state",  # ESPHome has none
        "node/light/x/speed/state",
        "tele/tasmota_1/STATE",
        "stat/tasmota_1/POWER",
        "stat/tasmota_1/RESULT",
        "SENSOR",
        "homeassistant/light/kitchen/" + "x" * 600,
    ],
)
def test_a_topic_that_does_not_tell_is_unknown(parser, topic):
    assert parser.parse(topic, b"on") == UNKNOWN


@pytest.mark.parametrize("attribute", ["friendly_name", "last_updated", "last_changed"])
def test_a_base_that_proves_to_be_of_statestream_tells_entities(parser, attribute):
    assert parser.parse("my/home/light/lamp/state", b"on") == ("light", None)
    assert parser.parse("my/home/light/lamp/brightness", b"1") == UNKNOWN
    parser.parse(f"my/home/sensor/door/{attribute}", b"x")
    assert parser.parse("my/home/light/lamp/state", b"on") == LAMP
    assert parser.parse("my/home/light/lamp/brightness", b"1") == LAMP
    assert parser.parse("my/home/pyscript/lamp/state", b"1") == ("pyscript", "pyscript.lamp")
    assert parser.parse("another/light/lamp/state", b"on") == ("light", None)


def test_few_bases_are_remembered(parser):
    for number in range(1000):
        parser.parse(f"base{number}/sensor/door/friendly_name", b"x")
    assert len(parser._forms.bases) < 30


@pytest.mark.parametrize("topic", ["homeassistant/light/0x1/light/config", "ha/light/lamp/config"])
@pytest.mark.parametrize("key", ["state_topic", "stat_t", "brightness_state_topic", "cmd_t", "json_attr_t"])
def test_an_announcement_tells_the_entity_of_its_topics(parser, topic, key):
    assert parser.parse("zigbee2mqtt/lamp", b"{}") == UNKNOWN
    assert announce(parser, topic, **{key: "zigbee2mqtt/lamp", "object_id": "lamp"}) == LAMP
    assert parser.parse("zigbee2mqtt/lamp", b"{}") == LAMP


@pytest.mark.parametrize(
    ("config", "entity"),
    [
        ({"def_ent_id": "light.lamp", "object_id": "other"}, "light.lamp"),
        ({"default_entity_id": "switch.lamp"}, None),
        ({"obj_id": "Lamp"}, "light.lamp"),
        ({"name": "Lamp"}, "light.lamp"),
        ({"name": "Lampe Küche", "dev": {"name": "Haus 1"}}, "light.haus_1_lampe_kuche"),
        ({"name": None, "device": {"name": "Lamp"}}, "light.lamp"),
        ({"name": "Lamp", "device": {"ids": "x"}}, None),
        ({"name": "Lamp left", "device": {"name": "Lamp"}}, None),
        ({"name": "лампа"}, None),
        ({"device": {"name": "Lamp"}}, None),
        ({"name": 7}, None),
        ({}, None),
    ],
)
def test_an_entity_has_the_id_that_home_assistant_gives_it(parser, config, entity):
    announce(parser, "homeassistant/light/x/config", stat_t="a/b", **config)
    assert parser.parse("a/b", b"") == ("light", entity)


@pytest.mark.parametrize(
    ("base", "topic", "whole"),
    [("x/y", "~/s", "x/y/s"), ("x/y", "s/~", "s/x/y"), ("x", "~/~", "x/x"), (7, "~/s", "~/s"), ("x", "a/~/b", "a/~/b")],
)
def test_a_tilde_stands_for_the_base_topic(parser, base, topic, whole):
    announce(parser, "homeassistant/lock/x/config", **{"~": base, "stat_t": topic})
    assert parser.parse(whole, b"") == ("lock", None)


def test_availability_tells_no_entity(parser):
    announce(parser, "homeassistant/lock/x/config", stat_t="a", avty_t="b", avty=[{"t": "c"}])
    announce(parser, "homeassistant/lock/y/config", stat_t="a", availability_topic="d")
    assert [parser.parse(topic, b"")[0] for topic in "abcd"] == ["lock", None, None, None]


def test_entities_that_share_a_topic_tell_what_they_have_in_common(parser):
    announce(parser, "homeassistant/sensor/x/temperature/config", stat_t="x", obj_id="x_temperature")
    announce(parser, "homeassistant/sensor/x/humidity/config", stat_t="x", obj_id="x_humidity")
    assert parser.parse("x", b"") == ("sensor", None)
    announce(parser, "homeassistant/lock/x/lock/config", stat_t="x", obj_id="x")
    assert parser.parse("x", b"") == UNKNOWN


def test_diagnostics_and_settings_of_a_device_do_not_hide_its_entity(parser):
    announce(parser, "homeassistant/light/x/config", stat_t="x", obj_id="lamp")
    announce(parser, "homeassistant/sensor/x/config", stat_t="x", obj_id="quality", ent_cat="diagnostic")
    announce(parser, "homeassistant/select/x/config", stat_t="x", obj_id="effect", entity_category="config")
    assert parser.parse("x", b"") == LAMP


def test_the_parts_of_a_device_share_its_options(parser):
    parts = {
        "1": {"p": "light", "obj_id": "lamp", "cmd_t": "~/set"},
        "2": {"platform": "sensor", "stat_t": "~/power"},
        "3": {"p": "switch"},  # removed
        "4": {"p": "device_automation", "t": "~/action"},
        "5": "nonsense",
    }
    assert announce(parser, "homeassistant/device/x/config", **{"~": "x", "stat_t": "~/all", "cmps": parts}) == UNKNOWN
    wanted = {"x/set": LAMP, "x/all": LAMP, "x/power": ("sensor", None), "x/action": UNKNOWN}
    assert {topic: parser.parse(topic, b"") for topic in wanted} == wanted


def test_a_withdrawn_announcement_tells_no_more(parser):
    announce(parser, "homeassistant/light/x/config", stat_t="x")
    announce(parser, "homeassistant/light/x/config", stat_t="y")
    assert parser.parse("x", b"") == UNKNOWN
    assert parser.parse("y", b"") == ("light", None)
    parser.parse("homeassistant/light/x/config", b"")
    assert parser.parse("y", b"") == UNKNOWN
    assert not parser._learned._by_topic
    assert parser._learned._size == 0


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff",
        b"nonsense",
        b"[]",
        b"null",
        b"{}",
        b'{"stat_t": 7}',
        b'{"stat_t": "a/+"}',
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b"9" * 5_000,
        b'{"stat_t":"' + b"x" * 600 + b'"}',
        b'{"cmps": 7}',
        b'{"cmps": [1]}',
    ],
)
@pytest.mark.parametrize("component", ["light", "device"])
def test_a_malformed_announcement_tells_nothing_more_than_its_topic(parser, component, payload):
    parser.parse("homeassistant/light/before/config", b'{"stat_t": "before"}')
    found = parser.parse(f"homeassistant/{component}/x/config", payload)
    assert found == (("light", None) if component == "light" else UNKNOWN)
    assert parser.parse("before", b"") == ("light", None)


def test_an_attribute_called_config_is_no_announcement_of_its_entity(parser):
    assert parser.parse("homeassistant/light/lamp/config", b'"on"') == ("light", None)


TASMOTA = {"ft": "%prefix%/%topic%/", "t": "plug", "tp": ["cmnd", "stat", "tele"], "so": {"30": 0}}


@pytest.mark.parametrize(
    ("config", "topics"),
    [
        ({"rl": [1, 0]}, {"tele/plug/STATE": "switch", "stat/plug/POWER": "switch", "stat/plug/RESULT": "switch"}),
        ({"rl": [2, 0]}, {"tele/plug/STATE": "light", "stat/plug/POWER1": "light", "stat/plug/POWER2": None}),
        ({"rl": [1, 0], "so": {"30": 1}}, {"tele/plug/STATE": "light"}),
        ({"rl": [3, 3]}, {"tele/plug/STATE": "cover", "stat/plug/POWER1": None}),
        ({"rl": [1, 2]}, {"tele/plug/STATE": None, "stat/plug/POWER1": "switch", "stat/plug/POWER2": "light"}),
        ({"rl": [1], "ft": "%topic%/%prefix%/"}, {"plug/tele/STATE": "switch"}),
        ({"rl": [1], "ft": "%hostname%/%prefix%/"}, {"plug/tele/STATE": None}),
        ({"rl": [1], "tp": ["cmnd"]}, {"tele/plug/STATE": None}),
        ({"rl": 1}, {"tele/plug/STATE": None}),
        ({"rl": [{}]}, {"tele/plug/STATE": None}),
        ({"rl": [1], "t": 7}, {"tele/plug/STATE": None}),
        ({}, {"tele/plug/STATE": None}),
    ],
)
def test_tasmota_announces_its_relays(parser, config, topics):
    announce(parser, "tasmota/discovery/A0B1C2/config", **{**TASMOTA, **config})
    assert {topic: parser.parse(topic, b"")[0] for topic in topics} == topics


def test_memory_is_bounded(parser, monkeypatch, caplog):
    monkeypatch.setattr(parsing, "MOST", 50)
    monkeypatch.setattr(learned, "MOST", 50)
    for number in range(1000):
        parser.parse(f"homeassistant/light/lamp{number}/state", b"")
        announce(parser, f"homeassistant/light/a{number}/config", stat_t=f"x/{number}")
    assert len(parser._answers) <= 50
    assert len(parser._learned._announcements) + len(parser._learned._by_topic) <= 50
    assert parser.parse("x/0", b"") == ("light", None)
    assert parser.parse("x/999", b"") == UNKNOWN
    assert [record.getMessage() for record in caplog.records] == [
        "50 topics are announced on MQTT; the entities of further ones are not told"
    ]


@pytest.mark.parametrize(
    ("answer", "entity"),
    [("lock.door", ("lock", "lock.door")), ("lock", ("lock", None)), (None, ("light", "light.lamp"))],
)
def test_a_function_of_the_user_comes_first(parser, answer, entity):
    parser.use(lambda topic, payload: answer if (topic, payload) == ("homeassistant/light/lamp/state", b"on") else 0)
    assert parser.parse("homeassistant/light/lamp/state", b"on") == entity


def raising(topic, payload):
    raise RuntimeError(f"cannot read {topic}")


@pytest.mark.parametrize(
    ("parse", "reason"),
    [
        (raising, "raising fails (RuntimeError: cannot read homeassistant/light/lamp/state)"),
        (lambda *_: "Light.Lamp", "fails (it returns something else"),
        (lambda *_: "", "fails (it returns something else"),
        (lambda *_: 7, "fails (AttributeError"),
        (lambda: "light", "fails (TypeError"),
    ],
)
def test_a_function_that_fails_is_reported_once_and_knows_nothing(parser, parse, reason, caplog):
    parser.use(parse)
    for _ in range(3):
        assert parser.parse("homeassistant/light/lamp/state", b"on") == LAMP
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert reason in record.getMessage()
    assert record.exc_info is None


NO_FUNCTIONS = {
    "otel_ha_nowhere:parse": "ModuleNotFoundError: No module named 'otel_ha_nowhere'",
    "json:nowhere": "AttributeError",
    "json:__name__": "TypeError: __name__ is not a function",
}


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize("setting", NO_FUNCTIONS)
def test_a_setting_whose_function_cannot_be_imported_is_one_line_with_what_is_allowed(
    parser, setting, is_early, caplog
):
    parser.follow(setting)
    if is_early:
        parser.prepare()
        assert len(caplog.records) == 1
    for _ in range(3):
        assert parser.parse("homeassistant/light/lamp/state", b"on") == LAMP
    (record,) = caplog.records
    assert f"OTEL_HA_TOPIC_PARSER is '{setting}'" in record.getMessage()
    assert NO_FUNCTIONS[setting] in record.getMessage()
    assert "allowed: module:function, such as acme.topics:parse" in record.getMessage()


def test_a_setting_that_follows_is_looked_at_once_messages_are_expected(parser, caplog):
    parser.prepare()
    parser.follow("json:nowhere")
    assert len(caplog.records) == 1


def test_a_module_that_is_found_later_is_used(parser, tmp_path, monkeypatch):
    parser.follow("otel_ha_found_later:parse")
    parser.prepare()
    (tmp_path / "otel_ha_found_later.py").write_text("def parse(topic, payload): return 'lock'")
    monkeypatch.syspath_prepend(tmp_path)
    assert parser.parse("x", b"") == ("lock", None)


def last_level(topic, payload):
    return topic.rpartition("/")[2]


LAST_LEVEL = f"{__name__}:last_level"


def test_a_setting_names_a_function_until_another_setting_does(parser):
    parser.follow("json:nowhere")
    parser.follow(LAST_LEVEL)
    assert parser.parse("x/lock", b"") == ("lock", None)
    parser.follow(None)
    assert parser.parse("x/lock", b"") == UNKNOWN


def test_a_function_that_is_given_overrides_the_setting(parser):
    parser.use(lambda *_: "lock")
    parser.follow(LAST_LEVEL)
    assert parser.parse("x/light", b"") == ("lock", None)


def test_the_parser_of_the_process_follows_the_settings_of_telemetry(quiet_config, monkeypatch):
    parser = topic_parser()
    monkeypatch.setattr(parser, "_own", None)
    environ = {"OTEL_HA_TOPIC_PARSER": LAST_LEVEL, "OTEL_METRICS_EXPORTER": "none"}
    with setup_telemetry("test", config=TelemetryConfig(environ=environ, system_metrics=False)):
        assert parser.parse("x/lock", b"") == ("lock", None)
    with setup_telemetry("test", config=quiet_config):
        assert parser.parse("x/lock", b"") == UNKNOWN


@pytest.mark.parametrize("value", ["parse", "a:", ":b", "a b:c", "a:b()", "/a/b.py:parse", "a:b:c"])
def test_a_setting_that_names_no_function_is_an_error(value):
    with pytest.raises(ConfigError, match=r"OTEL_HA_TOPIC_PARSER.*module:function, such as acme\.topics:parse"):
        TelemetryConfig(environ={"OTEL_HA_TOPIC_PARSER": value})


def test_every_component_of_discovery_is_known(parser):
    for component in COMPONENTS:
        announce(parser, f"homeassistant/{component}/x/config", stat_t=component)
        assert parser.parse(component, b"") == (component, None)
