"""MQTT: the parts that instrument clients of a broker."""
