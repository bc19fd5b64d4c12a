"""Learning-rate schedules over a client's local steps."""
