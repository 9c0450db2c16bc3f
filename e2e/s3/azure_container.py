"""Makes a container on an Azure emulator: ADDRESS CONTAINER. The account and its key are those of every emulator."""

import base64
import email.utils
import hashlib
import hmac
import http.client
import sys

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

address, container = sys.argv[1:]
date = email.utils.formatdate(usegmt=True)
headers = {"x-ms-date": date, "x-ms-version": "2020-10-02"}
path = f"/{ACCOUNT}/{container}"
signed = "PUT" + "\n" * 12 + "".join(f"{name}:{value}\n" for name, value in headers.items())
signed += f"/{ACCOUNT}{path}\nrestype:container"
digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
headers["Content-Length"] = "0"
connection = http.client.HTTPConnection(address)
connection.request("PUT", f"{path}?restype=container", headers=headers)
reply = connection.getresponse()
if reply.status not in (201, 409):
    sys.exit(f"{reply.status} {reply.read().decode()}")
