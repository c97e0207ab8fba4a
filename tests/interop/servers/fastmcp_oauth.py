"""An OAuth-protected server made of fastmcp's own parts: its in-memory authorization server and its token check.

Usage: fastmcp_oauth.py PORT LIFETIME. Access tokens live LIFETIME seconds and refresh tokens rotate; GET /stats tells
how many codes and refresh tokens were exchanged.
"""

import asyncio
import sys

import fastmcp.server.auth.providers.in_memory as in_memory
from fastmcp import Context, FastMCP
from mcp.server.auth.settings import ClientRegistrationOptions, RevocationOptions
from starlette.responses import JSONResponse

port, lifetime = int(sys.argv[1]), int(sys.argv[2])
in_memory.DEFAULT_ACCESS_TOKEN_EXPIRY_SECONDS = lifetime
exchanged = {"codes": 0, "refresh_tokens": 0, "revocations": 0}


class CountingProvider(in_memory.InMemoryOAuthProvider):
    async def exchange_authorization_code(self, client, authorization_code):
        exchanged["codes"] += 1
        return await super().exchange_authorization_code(client, authorization_code)

    async def exchange_refresh_token(self, client, refresh_token, scopes):
        exchanged["refresh_tokens"] += 1
        return await super().exchange_refresh_token(client, refresh_token, scopes)

    async def revoke_token(self, token):
        exchanged["revocations"] += 1
        return await super().revoke_token(token)


auth = CountingProvider(
    base_url=f"http://localhost:{port}",
    client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=["tools"], default_scopes=["tools"]),
    revocation_options=RevocationOptions(enabled=True),
    required_scopes=["tools"],
)
server = FastMCP("fastmcp-interop", version="1.0.0", auth=auth)


@server.tool
def greet(name: str) -> str:
    """Greets."""
    return f"Hello, {name}!"


@server.tool
async def count(to: int, context: Context) -> str:
    """Counts, reporting progress and a log message for each step."""
    for step in range(1, to + 1):
        await context.report_progress(step, to)
        await context.info(f"step {step}")
        await asyncio.sleep(0.03)
    return f"counted to {to}"


@server.custom_route("/stats", methods=["GET"])
async def stats(_request):
    return JSONResponse(exchanged)


server.run(transport="http", host="127.0.0.1", port=port, path="/mcp", show_banner=False)
