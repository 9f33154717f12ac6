"""The robot's side: the engine on the control thread, the client on the worker, and the values between."""
