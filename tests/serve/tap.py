"""A line between a client and a server that keeps what goes up and down; its other end may move."""
import socket
import threading


class Tap:
    def __init__(self, port):
        self.target = port
        self.up, self.down, self.lock = [], [], threading.Lock()  # one bytearray a connection
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            try:
                s = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                c.close()
                continue
            with self.lock:
                self.up.append(bytearray())
                self.down.append(bytearray())
                ends = ((c, s, self.up[-1]), (s, c, self.down[-1]))
            for e in ends:
                threading.Thread(target=self.pass_on, args=e, daemon=True).start()

    @staticmethod
    def pass_on(a, b, kept):
        try:
            while data := a.recv(1 << 16):
                kept += data
                b.sendall(data)
        except OSError:
            pass
        for x in (a, b):
            try:
                x.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def requests(self):
        """(method, path, headers, body) of all that went up."""
        out = []
        for data in self.up:
            data, at = bytes(data), 0
            while (end := data.find(b"\r\n\r\n", at)) >= 0:
                first, *lines = data[at:end].decode("latin-1").split("\r\n")
                headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
                at = end + 4 + int(headers.get("content-length", 0))
                out.append((*first.split(" ")[:2], headers, data[end + 4:at]))
        return out

    def close(self):
        self.listener.close()
