"""What `./dev bench` measures: the guard beside the unguarded process and beside other guards, on the same work."""
