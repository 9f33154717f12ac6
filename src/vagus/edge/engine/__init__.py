"""The control thread's side: the plan, and what to do in each tick. Pure: time comes in as an argument."""
