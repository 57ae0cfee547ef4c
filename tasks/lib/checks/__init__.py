"""What is checked before a change goes on: tests, style, quality, audit."""
