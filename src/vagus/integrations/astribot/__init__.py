"""The Astribot S1's gRPC messages, its session and its layouts: no gateway, robot or policy yet."""
