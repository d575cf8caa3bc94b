"""From declarations to text: what is rendered here is never written by hand."""
