"""An FTP server over a directory: ADDRESS ROOT [CERTIFICATE KEY]."""

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer

address, root, *tls = sys.argv[1:]
host, port = address.rsplit(":", 1)
authorizer = DummyAuthorizer()
authorizer.add_user("test", "p#w d;", root, perm="elradfmwMT")
handler = TLS_FTPHandler if tls else FTPHandler
handler.authorizer = authorizer
if tls:
    handler.certfile, handler.keyfile = tls
    handler.tls_control_required = handler.tls_data_required = True
FTPServer((host, int(port)), handler).serve_forever()
