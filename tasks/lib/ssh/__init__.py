"""The only package that uses SSH: connections, commands on servers, tunnels for docker."""
