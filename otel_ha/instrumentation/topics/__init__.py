"""Topics: the entity of an MQTT message."""
