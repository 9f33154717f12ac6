"""The Astribot S1: its gRPC services for robots and servers, its layouts, and the robot itself."""
