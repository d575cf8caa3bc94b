"""Examples of otel-ha; a test runs each of them."""
