"""A read-only copy of a pool kept from its log, for what shows it: it needs no writer, and costs it nothing."""
