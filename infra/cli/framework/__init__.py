"""How a command is declared: imported when it is called, with options made from models."""
