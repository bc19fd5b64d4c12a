"""Claims: statements about results that can be checked against the measurements."""
