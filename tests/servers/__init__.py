"""The real servers that the tests run against: getting them, finding them, running them."""
