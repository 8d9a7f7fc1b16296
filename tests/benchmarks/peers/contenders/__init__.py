"""What is compared: one contender a file, loaded in the process of its callers. `catalogue.py` lists them."""
