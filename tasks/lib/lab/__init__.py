"""A lab: a throwaway registry and servers in containers on this machine."""
