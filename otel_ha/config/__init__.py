"""Configuration: every setting, its default, its environment variables, and the page that lists them."""
