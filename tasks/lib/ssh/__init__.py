"""The one door to servers: SSH connections, commands, and docker through them."""
