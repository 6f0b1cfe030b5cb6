"""A real SMTP server on loopback: prints its port, then one JSON line for each mail it accepts."""
import asyncio
import email
import email.policy
import json

from aiosmtpd.smtp import SMTP


class Keep:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {}
        for part in mail.walk():
            if not part.is_multipart():
                parts[part.get_content_type()] = part.get_content()
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "subject": str(mail["Subject"]),
            "headers": {k: str(v) for k, v in mail.items()}, "parts": parts,
        }), flush=True)
        return "250 OK"


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Keep(), hostname="localhost", loop=loop), "127.0.0.1", 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
