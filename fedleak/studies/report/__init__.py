"""Pages of a study: its claims, its table, its figure, its frontier of defenses."""
