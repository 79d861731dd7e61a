"""Our formulas against independent implementations by other people.

What the extra `oracles` brings is skipped, and said to be, where it is not installed; `make test` installs it.
"""
