"""Recognition of what answers at an address: which protocol, which version, and whether it keeps it."""
