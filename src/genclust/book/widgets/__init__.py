"""Widgets of the book: what their scripts need, made from published models and records."""
