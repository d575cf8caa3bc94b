"""The HTTP endpoint: responses to requests (`application`), and a built-in server (`server`)."""
