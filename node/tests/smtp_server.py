"""A mail server on a free port for the tests of the e-mail receiver.

Prints its port as the first line, then one line of JSON per mail. Needs Debian's python3-aiosmtpd.
"""
import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

parser = argparse.ArgumentParser()
parser.add_argument("--tls", choices=["none", "starttls", "implicit"], default="none")
parser.add_argument("--cert")
parser.add_argument("--key")
parser.add_argument("--auth", default="", help="mechanisms offered, comma separated")
parser.add_argument("--refuse", action="append", default=[], help="ADDRESS=REPLY, answered to RCPT")
parser.add_argument("--refuse-data", default="", help="answered to the final dot")
parser.add_argument("--hang", choices=["", "greeting", "mail", "data"], default="")
options = parser.parse_args()

SECRET = b"open sesame"


def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and data.login == b"user" and data.password == b"pass word"
    session.mechanism = mechanism
    return AuthResult(success=good, handled=False)


class Handler:
    async def auth_CRAM__MD5(self, server, args):
        challenge = "<1896.697170952@postoffice.example.org>"
        answer = await server.challenge_auth(challenge)
        name, digest = answer.rsplit(b" ", 1)
        expected = hmac.new(SECRET, challenge.encode(), hashlib.md5).hexdigest().encode()
        server.session.mechanism = "CRAM-MD5"
        return AuthResult(success=(name, digest) == (b"user", expected), handled=False, auth_data=name)

    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        if options.hang == "mail":
            await asyncio.sleep(3600)
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        for refused in options.refuse:
            name, reply = refused.split("=", 1)
            if name == address:
                return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if options.hang == "data":
            await asyncio.sleep(3600)
        if options.refuse_data:
            return options.refuse_data
        seen = {
            "from": envelope.mail_from,
            "options": envelope.mail_options,
            "to": envelope.rcpt_tos,
            "hello": session.host_name,
            "tls": session.ssl is not None or options.tls == "implicit",
            "mechanism": getattr(session, "mechanism", None),
            "mail": envelope.original_content.decode("latin-1"),
        }
        print(json.dumps(seen), flush=True)
        return "250 taken"


class Server(SMTP):
    async def _handle_client(self):
        if options.hang == "greeting":
            await asyncio.sleep(3600)
        await super()._handle_client()


async def main():
    context = None
    if options.tls != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert, options.key)
    offered = [name for name in options.auth.split(",") if name]
    settings = {"enable_SMTPUTF8": True, "hostname": "test.example.org"}
    if options.tls == "starttls":
        settings["tls_context"] = context
    if offered:
        known = {"LOGIN", "PLAIN", "CRAM-MD5"}
        settings |= {
            "authenticator": authenticate,
            "auth_required": True,
            "auth_require_tls": False,
            "auth_exclude_mechanism": sorted(known - set(offered)),
        }
    else:
        settings["auth_exclude_mechanism"] = ["LOGIN", "PLAIN", "CRAM-MD5"]
    loop = asyncio.get_running_loop()
    implicit = context if options.tls == "implicit" else None
    server = await loop.create_server(lambda: Server(Handler(), **settings), "127.0.0.1", 0, ssl=implicit)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The parent's end of the pipe is the server's life.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
