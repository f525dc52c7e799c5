"""Two network namespaces and a wire, for tests of the kernel layer."""
