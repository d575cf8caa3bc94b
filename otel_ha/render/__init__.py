"""From declarations to text, so that nobody writes these pages by hand."""
