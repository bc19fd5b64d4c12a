"""What is looked at, found by folder: every concrete ``Check`` in these modules is run."""
