"""Sources that record metrics without a call in the service's code."""
