"""An MCP server for one agent of Custody: an AI agent claims, reports and finishes tasks with tools, without any code.

The process holds the leases and beats for them for as long as its client lives. Tokens, sessions and command ids stay
inside. `custody-mcp --agent NAME` starts it.
"""
