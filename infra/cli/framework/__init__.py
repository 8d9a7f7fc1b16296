"""How a command is declared: lazily, with options made from models."""
