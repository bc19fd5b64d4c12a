"""The report of a run: one HTML file that opens offline. It reads results and recomputes nothing."""
