"""A client of memcached: sets, reads and deletes, over four connections. Prints what it answers."""
import hashlib
import socket
import sys
import threading


def connect():
    link = socket.socket(socket.AF_UNIX)
    link.connect(sys.argv[1])
    return link, link.makefile("rb")


def ask(link, answers, request):
    link.sendall(request)
    return answers.readline()


def store(part):
    link, answers = connect()
    for i in range(part, 20000, 4):
        value = b"v" * (i * 7919 % 3001)
        assert ask(link, answers, b"set key%d 0 0 %d\r\n%s\r\n" % (i, len(value), value)) == b"STORED\r\n"


threads = [threading.Thread(target=store, args=(part,)) for part in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
link, answers = connect()
digest = hashlib.sha256()
for i in range(20000):
    header = ask(link, answers, b"get key%d\r\n" % i)
    digest.update(header)
    if header != b"END\r\n":
        digest.update(answers.read(int(header.split()[3]) + 2))
        answers.readline()
print(digest.hexdigest())
for request in (b"set n 0 0 1\r\n5\r\n", b"incr n 37\r\n", b"delete n\r\n", b"delete n\r\n", b"add key5 0 0 1\r\nx\r\n",
                b"append key5 0 0 1\r\nx\r\n", b"touch key7 100\r\n", b"nonsense\r\n", b"flush_all\r\n", b"get key5\r\n"):
    print(ask(link, answers, request))
