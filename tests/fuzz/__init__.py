"""Hostile inputs of every sort through the command line; ``oracle`` says what must hold.

About 1,100 inputs run with the default tests, always the same ones. Others run with
``FEDLEAK_FUZZ_EXAMPLES=10000 FEDLEAK_FUZZ_SEED=7 pytest -m slow tests/fuzz``: so many in each test, from that seed.
"""
