"""A program with paho-mqtt, as people write it: it answers each message, except those that are too much for it."""

import sys

import paho.mqtt.client as mqtt


def on_connect(client, userdata, flags, reason_code, properties):
    client.subscribe("homeassistant/#", qos=2)


def on_subscribe(client, userdata, mid, reason_codes, properties):
    print("ready")


def on_light(client, userdata, message):
    if message.payload == b"bad":
        raise ValueError(message.payload)
    client.publish("answers", message.payload, qos=1)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.suppress_exceptions = True
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.message_callback_add("homeassistant/light/#", on_light)
client.reconnect_delay_set(1, 1)
client.connect(sys.argv[1], int(sys.argv[2]))
client.loop_forever()
