"""Home Assistant's WebSocket API: the parts that instrument its clients."""
