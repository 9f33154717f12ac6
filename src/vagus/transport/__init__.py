"""Links that carry messages over the network, with their keys and delivery classes."""
