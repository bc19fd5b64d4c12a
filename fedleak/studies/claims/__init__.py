"""Claims: findings in a form that can be checked against what was measured."""
