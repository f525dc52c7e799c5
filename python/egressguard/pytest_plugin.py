"""The pytest plugin. It never touches the test capability and never installs the guard."""
