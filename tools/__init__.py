"""What `./dev` does. Standard library only, Python 3.9 or newer: these modules run before anything is installed.

A script that runs inside the environment (`demo`, `fuzz`, `bench` ...) is started as `python -m tools.NAME` from the
root of the repository, so it may import its neighbours as `tools.OTHER` and any package of the environment.
"""
