"""Process managers and services: async, talking to the outside through ports only."""
