"""The HTTP side: the answers to requests (`application`), and a server of our own for them (`server`)."""
