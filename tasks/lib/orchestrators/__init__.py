"""What runs containers on servers: one protocol, a folder for each that fulfils it."""
