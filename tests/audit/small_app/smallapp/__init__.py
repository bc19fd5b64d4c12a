"""A small Flower app with the traits of larger ones; written for the tests of the recorder."""
