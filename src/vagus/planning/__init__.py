"""Planning of a fleet: how many robots a server carries, computed and simulated."""
