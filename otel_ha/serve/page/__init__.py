"""The status page: one summary as HTML, with charts in SVG."""
