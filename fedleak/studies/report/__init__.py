"""HTML reports of a study: claims, table, figure, and the frontier of defenses."""
