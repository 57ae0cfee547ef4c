"""Settings: base, and one module each for dev, test and prod."""
