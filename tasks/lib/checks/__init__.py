"""The checks of a change: tests, style, types, quality, audit."""
