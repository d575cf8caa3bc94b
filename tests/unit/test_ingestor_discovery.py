"""MQTT discovery, with announcements of the shapes that Zigbee2MQTT, Tasmota, ESPHome and Home Assistant document."""

import json
import logging

import pytest

from examples.ingestor import discovery as discovery_module
from examples.ingestor.dedup import Deduplicator
from examples.ingestor.discovery import Discovery
from examples.ingestor.event import Event, InvalidEventError
from examples.ingestor.transformer import Transformer
from examples.ingestor.value_template import MissingValueError

ZIGBEE2MQTT = {
    "availability": [
        {"topic": "zigbee2mqtt/bridge/state", "value_template": "{{ value_json.state }}"},
        {"topic": "zigbee2mqtt/Bath/availability", "value_template": "{{ value_json.state }}"},
    ],
    "availability_mode": "all",
    "device": {"identifiers": ["zigbee2mqtt_0x00158d0001"], "name": "Bath", "via_device": "zigbee2mqtt_bridge"},
    "device_class": "temperature",
    "enabled_by_default": True,
    "object_id": "bath_temperature",
    "origin": {"name": "Zigbee2MQTT", "sw": "2.1.3", "url": "https://www.zigbee2mqtt.io"},
    "state_class": "measurement",
    "state_topic": "zigbee2mqtt/Bath",
    "unique_id": "0x00158d0001_temperature_zigbee2mqtt",
    "unit_of_measurement": "°C",
    "value_template": "{{ value_json.temperature }}",
}
CONTACT = {
    "device": {"identifiers": ["zigbee2mqtt_0x1"], "name": "Door"},
    "device_class": "door",
    "name": None,
    "payload_off": True,
    "payload_on": False,
    "state_topic": "zigbee2mqtt/Door",
    "value_template": "{{ value_json.contact }}",
}
TASMOTA = {
    "name": "Plug ENERGY Power",
    "~": "tasmota_AB12/",
    "stat_t": "~tele/SENSOR",
    "avty_t": "~tele/LWT",
    "pl_avail": "Online",
    "pl_not_avail": "Offline",
    "uniq_id": "AB12_ENERGY_Power",
    "dev": {"ids": ["AB12"]},
    "unit_of_meas": "W",
    "dev_cla": "power",
    "val_tpl": "{{value_json['ENERGY'].Power}}",
}
ESPHOME = {
    "dev_cla": "humidity",
    "unit_of_meas": "%",
    "stat_cla": "measurement",
    "name": "Humidity",
    "stat_t": "livingroom/sensor/humidity/state",
    "avty_t": "livingroom/status",
    "uniq_id": "ESPsensorhumidity",
    "dev": {"ids": "24a160", "name": "Living Room", "sw": "2026.1", "mdl": "esp32dev", "mf": "Espressif"},
}
ESPHOME_LIGHT = {"schema": "json", "clrm": True, "name": "Strip", "stat_t": "livingroom/light/strip/state"}
DEVICE = {
    "dev": {"ids": "ea334450945afc", "name": "Kitchen", "mf": "Bla electronics"},
    "o": {"name": "bla2mqtt", "sw": "2.1", "url": "https://bla2mqtt.example.com/support"},
    "cmps": {
        "some_unique_component_id1": {
            "p": "sensor",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "value_template": "{{ value_json.temperature}}",
            "unique_id": "temp01ae_t",
        },
        "some_unique_id2": {
            "p": "sensor",
            "device_class": "humidity",
            "unit_of_measurement": "%",
            "value_template": "{{ value_json.humidity}}",
            "unique_id": "temp01ae_h",
        },
    },
    "state_topic": "sensorBedroom/state",
    "qos": 2,
}


def announced(config: object, topic: str = "sensor/0x1/temperature") -> Discovery:
    discovery = Discovery("homeassistant")
    announce(discovery, config, topic)
    return discovery


def announce(discovery: Discovery, config: object, topic: str = "sensor/0x1/temperature") -> None:
    discovery.announce(f"homeassistant/{topic}/config", json.dumps(config).encode() if config is not None else b"")


def found(discovery: Discovery, topic: str, payload: object) -> list[Event]:
    return discovery.events(topic, payload if isinstance(payload, bytes) else json.dumps(payload).encode())


def states(discovery: Discovery, topic: str, payload: object) -> dict[str, str]:
    return {event.entity_id: event.state for event in found(discovery, topic, payload)}


def test_an_announcement_of_zigbee2mqtt_is_followed():
    discovery = announced(ZIGBEE2MQTT)
    assert discovery.topics == {"zigbee2mqtt/Bath", "zigbee2mqtt/bridge/state", "zigbee2mqtt/Bath/availability"}
    [event] = found(discovery, "zigbee2mqtt/Bath", {"temperature": 21.5, "humidity": 40, "linkquality": 120})
    assert (event.entity_id, event.state, event.unit) == ("sensor.bath_temperature", "21.5", "°C")


def test_an_announcement_of_tasmota_is_followed():
    discovery = announced(TASMOTA)
    payload = {"Time": "2026-01-01T00:00:00", "ENERGY": {"Power": 12}}
    assert states(discovery, "tasmota_AB12/tele/SENSOR", payload) == {"sensor.plug_energy_power": "12"}
    assert states(discovery, "tasmota_AB12/tele/LWT", b"Offline") == {"sensor.plug_energy_power": "unavailable"}


def test_an_announcement_of_esphome_is_followed():
    discovery = announced(ESPHOME, "sensor/livingroom/humidity")
    assert states(discovery, "livingroom/sensor/humidity/state", b"40.1") == {"sensor.living_room_humidity": "40.1"}


def test_a_light_with_the_json_schema_has_its_state_in_json():
    discovery = announced(ESPHOME_LIGHT, "light/livingroom/strip")
    payload = {"color_mode": "rgb", "state": "ON", "brightness": 100}
    assert states(discovery, "livingroom/light/strip/state", payload) == {"light.strip": "on"}


def test_an_announcement_of_a_device_has_several_entities():
    discovery = announced(DEVICE, "device/ea334450945afc")
    assert states(discovery, "sensorBedroom/state", {"temperature": 23.2, "humidity": 43.7}) == {
        "sensor.kitchen_temperature": "23.2",
        "sensor.kitchen_humidity": "43.7",
    }


def test_a_component_is_removed_from_a_device():
    discovery = announced(DEVICE, "device/ea334450945afc")
    parts = DEVICE["cmps"] | {"some_unique_id2": {"p": "sensor"}}
    announce(discovery, DEVICE | {"cmps": parts}, "device/ea334450945afc")
    payload = {"temperature": 23.2, "humidity": 43.7}
    assert states(discovery, "sensorBedroom/state", payload) == {"sensor.kitchen_temperature": "23.2"}


def test_an_empty_announcement_removes_its_entities():
    discovery = announced(ESPHOME)
    announce(discovery, None)
    assert discovery.topics == frozenset()


def test_a_changed_announcement_replaces_its_entities():
    discovery = announced(ESPHOME)
    announce(discovery, ESPHOME | {"stat_t": "other", "avty_t": "other/status"})
    assert discovery.topics == {"other", "other/status"}


def test_an_inverted_payload_stands_for_the_state():
    discovery = announced(CONTACT, "binary_sensor/0x1/contact")
    assert states(discovery, "zigbee2mqtt/Door", {"contact": False}) == {"binary_sensor.door": "on"}
    assert states(discovery, "zigbee2mqtt/Door", {"contact": True}) == {"binary_sensor.door": "off"}


@pytest.mark.parametrize(
    ("component", "config", "payload", "state"),
    [
        ("switch", {}, b"ON", "on"),
        ("switch", {"state_on": "1", "payload_on": "{}"}, b"1", "on"),
        ("lock", {}, b"LOCKED", "locked"),
        ("lock", {"stat_unlocked": "free"}, b"free", "unlocked"),
        ("cover", {"stat_clsd": "DOWN"}, b"DOWN", "closed"),
        ("device_tracker", {"pl_not_home": "gone"}, b"gone", "not_home"),
        ("sensor", {}, b"ON", "ON"),
        ("sensor", {"val_tpl": "{{ value_json.x }}"}, b'{"x": null}', "unknown"),
        ("sensor", {"val_tpl": "{{ value_json.x }}"}, b"", ""),
    ],
)
def test_a_payload_is_translated_as_home_assistant_does(component, config, payload, state):
    discovery = announced({"stat_t": "t", "name": "a", **config}, f"{component}/a")
    assert states(discovery, "t", payload) == {f"{component}.a": state}


def test_the_state_of_a_climate_is_its_mode():
    discovery = announced(
        {"mode_stat_t": "t", "mode_stat_tpl": "{{ value_json.mode }}", "curr_temp_t": "u", "name": "a"}, "climate/a"
    )
    assert states(discovery, "t", {"mode": "heat"}) == {"climate.a": "heat"}


@pytest.mark.parametrize(
    ("config", "entity_id"),
    [
        ({"default_entity_id": "sensor.own", "object_id": "x", "name": "y"}, "sensor.own"),
        ({"object_id": "Own ID", "name": "y"}, "sensor.own_id"),
        ({"name": "Temperature", "device": {"name": "Küche"}}, "sensor.kuche_temperature"),
        ({"name": None, "device": {"name": "Küche"}}, "sensor.kuche"),
        ({"name": "Küche", "device": {"name": "Küche"}}, "sensor.kuche_kuche"),
        ({"device_class": "carbon_dioxide", "device": {"name": "Hub"}}, "sensor.hub_carbon_dioxide"),
        ({"name": "Temperature"}, "sensor.temperature"),
        ({}, "sensor.mqtt_sensor"),
        ({"device": {"name": "Hub"}}, "sensor.hub_mqtt_sensor"),
        ({"name": "日本"}, "sensor.ri_ben"),
        ({"name": "Straße"}, "sensor.strasse"),
        ({"name": "!"}, "sensor.0x1_temperature"),
    ],
)
def test_an_entity_has_the_id_that_home_assistant_gives_it(config, entity_id):
    assert list(states(announced({"state_topic": "t", **config}), "t", b"1")) == [entity_id]


def test_two_entities_of_the_same_name_keep_apart():
    discovery = announced({"stat_t": "t", "name": "a"}, "sensor/one/x")
    announce(discovery, {"stat_t": "u", "name": "a"}, "sensor/two/x")
    assert states(discovery, "t", b"1") == {"sensor.a": "1"}
    assert states(discovery, "u", b"2") == {"sensor.two_x": "2"}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("all", "unavailable"), ("any", "1"), ("latest", "1")],
)
def test_several_availability_topics_are_combined_by_the_mode(mode, expected):
    config = {"stat_t": "t", "name": "a", "avty": [{"t": "one"}, {"topic": "two"}], "avty_mode": mode}
    discovery = announced(config)
    found(discovery, "one", b"offline")
    found(discovery, "two", b"online")
    assert states(discovery, "t", b"1") == {"sensor.a": expected}


def test_an_entity_that_is_available_again_has_its_last_state():
    discovery = announced(ESPHOME)
    found(discovery, "livingroom/sensor/humidity/state", b"40")
    found(discovery, "livingroom/status", b"offline")
    [event] = found(discovery, "livingroom/status", b"online")
    assert (event.state, event.timed) == ("40", False)


def test_an_availability_that_does_not_change_is_no_event():
    discovery = announced(ESPHOME)
    assert found(discovery, "livingroom/status", b"online") == []
    assert found(discovery, "livingroom/status", b"what") == []


def test_a_bridge_that_goes_offline_makes_all_its_entities_unavailable():
    discovery = announced(ZIGBEE2MQTT)
    announce(discovery, ZIGBEE2MQTT | {"object_id": "b"}, "sensor/0x2/temperature")
    assert states(discovery, "zigbee2mqtt/bridge/state", {"state": "offline"}) == {
        "sensor.bath_temperature": "unavailable",
        "sensor.b": "unavailable",
    }


def test_the_time_in_a_payload_is_the_time_of_the_event():
    discovery = announced(ZIGBEE2MQTT)
    payload = {"temperature": 1, "last_updated": "1970-01-01T00:00:01+00:00"}
    [event] = found(discovery, "zigbee2mqtt/Bath", payload)
    assert (event.timestamp, event.timed) == (1_000_000_000, True)


def test_a_payload_without_a_value_for_any_entity_is_one_missing_value():
    [error] = found(announced(DEVICE, "device/x"), "sensorBedroom/state", {"battery": 5})
    assert isinstance(error, MissingValueError)


def test_a_payload_with_values_for_some_entities_has_events_for_them():
    assert states(announced(DEVICE, "device/x"), "sensorBedroom/state", {"humidity": 5}) == {
        "sensor.kitchen_humidity": "5"
    }


@pytest.mark.parametrize("payload", [b"\xff", b'{"temperature": ', b'{"temperature": "%s"}' % (b"x" * 256)])
def test_a_malformed_payload_is_an_invalid_event(payload):
    [error] = found(announced(ZIGBEE2MQTT), "zigbee2mqtt/Bath", payload)
    assert isinstance(error, InvalidEventError)
    assert not isinstance(error, MissingValueError)


def test_a_template_that_is_not_supported_makes_states_invalid_and_warns_once(caplog):
    config = ZIGBEE2MQTT | {"value_template": "{{ value_json.temperature * 2 }}"}
    discovery = announced(config)
    announce(discovery, config)
    [error] = found(discovery, "zigbee2mqtt/Bath", {"temperature": 1})
    assert isinstance(error, InvalidEventError)
    [line] = caplog.messages
    assert "does more than read a value; the states of sensor.bath_temperature count as invalid" in line


@pytest.mark.parametrize(
    "config",
    [
        {"avty_tpl": "{% if value %}online{% endif %}"},
        {"avty_t": None, "avty": True},
        {"avty_t": "a/#"},
        {"avty_t": "a\n"},
        {"avty_t": None, "avty": [{"t": "~", "~": "#"}]},
        {"avty_tpl": "{{ value_json.s | default([]) }}"},
    ],
)
def test_an_availability_that_is_not_supported_is_ignored(config, caplog):
    discovery = announced(ESPHOME | config)
    assert states(discovery, "livingroom/sensor/humidity/state", b"1") == {"sensor.living_room_humidity": "1"}
    assert "the availability of sensor.living_room_humidity is ignored" in caplog.text


@pytest.mark.parametrize(
    "config",
    [
        [],
        "text",
        {"stat_t": "a/#"},
        {"stat_t": 5},
        {"stat_t": ""},
        {"stat_t": "a\ud800"},
        {"stat_t": "zig/lamp\n"},
        {"stat_t": "a\u0001b"},
        {"stat_t": "~/state", "~": "a/#"},
        {"stat_t": "~", "~": "a/+"},
        {"stat_t": "~", "~": ""},
        {"stat_t": "x" * 70_000},
        {"cmps": {}, "stat_t": "\0"},
    ],
)
def test_a_malformed_announcement_is_warned_of_and_loses_nothing_but_itself(config, caplog):
    discovery = announced(ESPHOME, "sensor/good")
    announce(discovery, config, "sensor/bad")
    assert states(discovery, "livingroom/sensor/humidity/state", b"1") == {"sensor.living_room_humidity": "1"}
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("config", [{}, {"cmps": []}, {"cmps": {"a": 1}}, {"cmps": {"a": {"p": 1, "stat_t": 2}}}])
def test_a_malformed_announcement_of_a_device_is_warned_of(config, caplog):
    assert announced(config, "device/bad").topics == frozenset()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_malformed_component_loses_nothing_but_itself(caplog):
    discovery = announced(DEVICE | {"cmps": {"bad": 1, **DEVICE["cmps"]}}, "device/x")
    assert len(found(discovery, "sensorBedroom/state", {"temperature": 1, "humidity": 2})) == 2
    assert "component 'bad'" in caplog.text


@pytest.mark.parametrize("component", ["button", "device_automation", "event", "update", "tag", "camera"])
def test_an_entity_without_a_state_of_its_own_is_left_out(component, caplog):
    config = {"cmd_t": "c", "t": "x"} if component in ("button", "camera", "tag") else {"stat_t": "x"}
    assert announced(config, f"{component}/a").topics == frozenset()
    assert caplog.records == []


def test_a_warning_of_a_long_topic_is_short(caplog):
    announced(ESPHOME | {"stat_t": "x" * 70_000})
    assert len(caplog.messages[0]) < 500


@pytest.mark.parametrize("component", ["light", "vacuum"])
def test_the_values_beside_a_state_with_the_json_schema_are_attributes(component):
    discovery = announced(ESPHOME_LIGHT, f"{component}/livingroom/strip")
    payload = {"state": "ON", "brightness": 100, "color": {"r": 1}, "device_class": "x"}
    [event] = found(discovery, "livingroom/light/strip/state", payload)
    assert event.attributes == {"brightness": 100, "color": {"r": 1}, "friendly_name": "Strip"}


def test_a_brightness_that_changes_makes_another_point():
    discovery = announced(ESPHOME_LIGHT, "light/livingroom/strip")
    seen = Deduplicator(1.0, lambda _: ["brightness"])
    transformer = Transformer((("light.*", ("brightness",)),))
    lines = []
    for brightness in (100, 200):
        [event] = found(discovery, "livingroom/light/strip/state", {"state": "ON", "brightness": brightness})
        assert not seen.is_duplicate(event, 0.0)
        lines.append(transformer.point(event).line)
    assert [line.split(" ")[1] for line in lines] == [
        'brightness=100.0,value=1.0,state="on"',
        'brightness=200.0,value=1.0,state="on"',
    ]


def test_an_entity_that_is_announced_again_has_no_earlier_state():
    discovery = announced(ESPHOME)
    found(discovery, "livingroom/sensor/humidity/state", b"40")
    announce(discovery, None)
    announce(discovery, ESPHOME)
    found(discovery, "livingroom/status", b"offline")
    assert found(discovery, "livingroom/status", b"online") == []


def test_an_entity_that_is_announced_again_is_available_until_it_is_said_otherwise():
    discovery = announced(ESPHOME)
    found(discovery, "livingroom/status", b"offline")
    announce(discovery, None)
    announce(discovery, ESPHOME)
    assert states(discovery, "livingroom/sensor/humidity/state", b"1") == {"sensor.living_room_humidity": "1"}


@pytest.mark.parametrize("change", [{"unit_of_meas": "g"}, {"avty_tpl": "{{ value }}"}])
def test_a_changed_announcement_keeps_what_is_known_of_its_availability(change):
    discovery = announced(ESPHOME)
    found(discovery, "livingroom/status", b"offline")
    announce(discovery, ESPHOME | change)
    assert set(states(discovery, "livingroom/sensor/humidity/state", b"1").values()) == {"unavailable"}


def test_the_entities_in_memory_are_limited(monkeypatch, caplog):
    monkeypatch.setattr(discovery_module, "MOST_ENTITIES", 3)
    discovery = announced(None)
    for number in range(10):
        announce(discovery, {"stat_t": f"t{number}", "name": f"a{number}"}, f"sensor/{number}")
    assert discovery.topics == {"t0", "t1", "t2"}
    assert caplog.messages == ["mqtt: 3 entities are announced; further ones are not followed"]
    announce(discovery, None, "sensor/0")
    announce(discovery, {"stat_t": "t9", "name": "a9"}, "sensor/9")
    assert discovery.topics == {"t1", "t2", "t9"}


def test_the_entities_of_one_device_are_limited(monkeypatch):
    monkeypatch.setattr(discovery_module, "MOST_ENTITIES", 3)
    parts = {str(number): {"p": "sensor", "name": str(number)} for number in range(10)}
    discovery = announced({"stat_t": "t", "cmps": parts}, "device/a")
    assert len(states(discovery, "t", b"1")) == 3


def test_nothing_is_kept_of_a_device_that_is_removed():
    discovery = announced(ZIGBEE2MQTT)
    found(discovery, "zigbee2mqtt/bridge/state", {"state": "online"})
    found(discovery, "zigbee2mqtt/Bath", {"temperature": 1})
    announce(discovery, None)
    assert [name for name, value in vars(discovery).items() if isinstance(value, dict | set) and value] == []
