"""The checks: every concrete ``DoctorCheck`` in these modules is run."""
