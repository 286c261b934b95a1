"""The form of CIFAR-10: fetch and verify, generate, ingest, and read as arrays."""
