"""What is looked at, found by folder: every concrete ``DoctorCheck`` in these modules is run."""
