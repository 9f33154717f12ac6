"""The robot's side: plan, engine and the worker that talks to the server."""
