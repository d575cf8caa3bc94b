import pytest

from examples.ingestor.topics import DROPPED, Layout, Meaning, is_topic, slug

SAME = Layout("homeassistant", "homeassistant")
APART = Layout("states", "homeassistant", ("zigbee2mqtt", "devices/tasmota"))


def test_a_statestream_state_names_its_entity():
    assert APART.meaning("states/light/hall/state") == Meaning("state", "light.hall")


def test_the_time_of_a_statestream_state_names_its_entity():
    assert SAME.meaning("homeassistant/light/hall/last_updated") == Meaning("last_updated", "light.hall")


def test_a_statestream_attribute_is_not_a_state():
    assert APART.meaning("states/light/hall/brightness") == Meaning("attribute")


@pytest.mark.parametrize("topic", ["homeassistant/sensor/power/config", "homeassistant/sensor/hub/power/config"])
def test_a_discovery_config_is_an_announcement(topic):
    assert SAME.meaning(topic) == APART.meaning(topic) == Meaning("config")


@pytest.mark.parametrize("topic", ["homeassistant/sensor/kitchen/state", "homeassistant/sensor/hub/power/state"])
def test_a_topic_below_the_prefix_of_discovery_is_a_state_only_if_it_is_announced(topic):
    assert APART.meaning(topic) == Meaning("other")


@pytest.mark.parametrize("topic", ["homeassistant/status", "homeassistantx/light/a/state", "zigbee2mqtt/a", ""])
def test_any_other_topic_is_ignored(topic):
    assert SAME.meaning(topic) == Meaning("other")


def test_a_topic_that_names_no_entity_has_no_entity():
    assert SAME.meaning("homeassistant/sensor/Küche/state") == Meaning("state", "")


@pytest.mark.parametrize(
    ("topic", "entity_id"),
    [
        ("zigbee2mqtt/Küche 1", "zigbee2mqtt.kuche_1"),
        ("zigbee2mqtt/кухня", "zigbee2mqtt.kukhnia"),
        ("zigbee2mqtt/hall/lamp", "zigbee2mqtt.hall_lamp"),
        ("zigbee2mqtt/lamp/state", "zigbee2mqtt.lamp"),
        ("devices/tasmota/plug/SENSOR", "tasmota.plug_sensor"),
    ],
)
def test_a_topic_of_a_device_that_sends_json_names_an_entity_after_its_levels(topic, entity_id):
    assert APART.meaning(topic) == Meaning("state", entity_id, json=True)


@pytest.mark.parametrize("topic", ["zigbee2mqtt/lamp/set", "zigbee2mqtt/lamp/get"])
def test_a_command_to_a_device_is_not_a_state(topic):
    assert APART.meaning(topic) == Meaning("other")


def test_a_state_of_the_base_topic_is_json_if_the_user_says_so():
    layout = Layout("homeassistant", "homeassistant", ("homeassistant",))
    assert layout.meaning("homeassistant/sensor/bedroom/state") == Meaning("state", "sensor.bedroom", json=True)
    assert layout.meaning("homeassistant/status") == Meaning("other")


def test_the_number_of_dropped_messages_comes_from_the_broker():
    assert SAME.meaning(DROPPED) == Meaning("broker")


def test_a_base_topic_within_the_discovery_prefix_is_recognised():
    layout = Layout("homeassistant/states", "homeassistant")
    assert layout.meaning("homeassistant/states/light/hall/state") == Meaning("state", "light.hall")


def test_nested_prefixes_need_one_subscription():
    assert Layout("homeassistant/states", "homeassistant", ("homeassistant/x",)).subscriptions == ["homeassistant/#"]


def test_separate_prefixes_need_a_subscription_each():
    assert APART.subscriptions == ["devices/tasmota/#", "homeassistant/#", "states/#", "zigbee2mqtt/#"]


@pytest.mark.parametrize(
    ("prefix", "json"), [("home", False), ("home/ha", True), ("home/ha/sensor", True), ("home/hall", False)]
)
def test_a_statestream_topic_has_json_only_if_the_prefix_is_not_above_the_base(prefix, json):
    layout = Layout("home/ha", "homeassistant", (prefix,))
    assert layout.meaning("home/ha/sensor/a/state") == Meaning("state", "sensor.a", json=json)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (" Küche: Lampe-2 ", "kuche_lampe_2"),
        ("Straße", "strasse"),
        ("Smørrebrød", "smorrebrod"),
        ("厨房", "chu_fang"),
        ("кухня", "kukhnia"),
        ("Łódź", "lodz"),
        ("!", ""),
        ("\ud800", ""),
    ],
)
def test_a_name_becomes_a_slug_as_in_home_assistant(name, expected):
    assert slug(name) == expected


@pytest.mark.parametrize("topic", ["a", "a b/ü", "/", "$SYS/x", "$shared/a", "x" * 65_535, "/".join("a" * 200), "😀"])
def test_a_topic_can_be_subscribed_to(topic):
    assert is_topic(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "a/#",
        "+/a",
        "a\0",
        "a\n",
        "\x01",
        "\x7f",
        "\x85",
        "\ud800",
        "\ufdd0",
        "\uffff",
        "\U0001fffe",
        "$share/a/b",
        "ü" * 32_768,
        "/".join("a" * 201),
    ],
    ids=lambda topic: ascii(topic)[:20],
)
def test_a_topic_that_a_broker_may_refuse_is_not_subscribed_to(topic):
    assert not is_topic(topic)
