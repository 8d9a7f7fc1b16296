"""The writer's own memory of a pool: live entities with their undo, and the indexes over them."""
