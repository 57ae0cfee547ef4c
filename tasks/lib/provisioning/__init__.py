"""A server's own state: what it should be, what differs, and the scripts that make it so."""
