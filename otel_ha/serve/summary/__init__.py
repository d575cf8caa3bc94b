"""The summary: figures of this process as JSON data, and their reference."""
