"""The worker's side: link, session, requests and replies. It meets the engine only in `edge/handoff.py`."""
