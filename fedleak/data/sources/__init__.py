"""Image classification data sets, one file per source."""
