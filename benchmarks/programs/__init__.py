"""The processes that a benchmark starts: clients and servers under test, routers and proxies."""
